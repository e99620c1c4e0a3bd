# SPDX-License-Identifier: Apache-2.0
"""The unprivileged process: reads the rings, parses what strangers wrote, stores, exports.

It is forked by the supervisor, opens what needs privilege, renounces it for good, and only
then looks at the first event.
"""

import gc
import logging
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from otel_qtap.agent.account import pipeline_account
from otel_qtap.agent.assembly import Openings, Rooms, boottime_ns, open_outside
from otel_qtap.agent.coverage.table import CoverageTable
from otel_qtap.agent.health import HealthServer
from otel_qtap.agent.ledger import Balance, Ledger
from otel_qtap.agent.log_output import set_up_logging
from otel_qtap.agent.loss_watch import LossWatch
from otel_qtap.agent.messages import Channel, Message, read_facts
from otel_qtap.agent.metrics import publish_coverage, publish_metrics
from otel_qtap.agent.needed_later import import_needed_later
from otel_qtap.agent.plaintext.watch import PlaintextWatch
from otel_qtap.agent.privileges import drop_privileges
from otel_qtap.agent.readiness import Readiness
from otel_qtap.agent.stray_output import StrayOutput
from otel_qtap.agent.vital_signs import VitalSigns
from otel_qtap.capture.decode import Decoder
from otel_qtap.capture.endings import Endings
from otel_qtap.capture.ring import NEVER_SENT, Counters, Loss, RingBuffer
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.model.events import ConnectionClosed, DirectionClosed, KernelEvent, ProcessExited
from otel_qtap.model.identity import ProcessId
from otel_qtap.objectstore.archive import STORE_DISABLED
from otel_qtap.settings import Settings
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.otlp.requests import Signal

logger = logging.getLogger(__name__)

BATCH_BYTES = 8 << 20
"""Most ring bytes between two looks at anything else."""
_PAUSES_MS = ((4 << 20, 0), (1 << 20, 2), (256 << 10, 10))
_LONGEST_PAUSE_MS = 50
"""How long to wait after a read of at least so many bytes. Long pauses read many events at once, which
is what makes each cheap. A flood ends a pause: the kernel side wakes us once per 4 MiB of a stream."""
HOUSEKEEPING_SECONDS = 0.1
SHUTDOWN_SECONDS = 7.0
_ARCHIVE_SHARE = 0.5

_Closer = ConnectionClosed | DirectionClosed | ProcessExited


class Intake:
    """The rings as one ordered source of events.

    What stands in the handshake ring comes before what the control ring says of the same connection, and
    that before what the data ring holds of it. So of each is read what was there before the former was.

    A close is written to the control ring after the data before it was reserved in the data ring, so
    it is held until the data ring was read past where its producer stood when the close was read.
    """

    def __init__(self, data: RingBuffer, control: RingBuffer, handshakes: RingBuffer | None = None) -> None:
        self._data = data
        self._control = control
        self._handshakes = handshakes
        self._decoder = Decoder()
        self._closers: deque[tuple[int, _Closer]] = deque()

    def read(self, max_bytes: int) -> tuple[list[KernelEvent], int]:
        """The next events, oldest first, and the bytes of all rings that they took."""
        decoder = self._decoder
        events: list[KernelEvent] = []
        end, control_end = self._data.producer_position, self._control.producer_position
        size = 0
        if self._handshakes is not None:
            size = self._handshakes.drain(decoder.decode, self._handshakes.size)
        size += self._control.drain(decoder.decode, control_end - self._control.consumer_position)
        mark = self._data.producer_position
        for event in decoder.events:
            if isinstance(event, _Closer):
                self._closers.append((mark, event))
            else:
                events.append(event)
        decoder.events = events
        size += self._data.drain(decoder.decode, min(max_bytes, end - self._data.consumer_position))
        decoder.events = []
        position = self._data.consumer_position
        while self._closers and self._closers[0][0] <= position:
            events.append(self._closers.popleft()[1])
        return events, size

    @property
    def malformed(self) -> int:
        """Records that made no sense."""
        return self._decoder.malformed


class Pipeline:
    """Runs until the supervisor says stop or is gone."""

    def __init__(
        self,
        settings: Settings,
        openings: Openings,
        *,
        channel: Channel,
        listener: socket.socket,
        ledger: Ledger,
        signs: VitalSigns,
        stray: StrayOutput,
    ) -> None:
        self._channel = channel
        self._ledger = ledger
        self._signs = signs
        self._stray = stray
        self._rooms = Rooms(settings, openings)
        self._chain = self._rooms.chain
        self._intake: Intake | None = None
        self._counters: Counters | None = None
        self._endings: Endings | None = None
        self._plaintext = PlaintextWatch(signs.plaintext)
        self._coverage = CoverageTable(
            facts=self._rooms.workloads.facts_of, on_event=self._rooms.telemetry.not_captured
        )
        self._lost: Mapping[str, Loss] = {}
        self._losses = LossWatch()
        self._poller = select.epoll()
        self._stopping = False
        self._readiness = Readiness(self._rooms, signs)
        publish_metrics(self._rooms, signs, self._kernel_losses, lambda: self._malformed)
        publish_coverage(self._rooms.telemetry.observables, self._coverage, self._rooms.chain, self._ended)
        self._health = HealthServer(
            listener,
            ready=self._readiness.ready,
            alive=self._readiness.alive,
            metrics=self._rooms.telemetry.metrics_page,
            coverage=self._described_coverage,
        )

    def run(self) -> None:
        """The loop: messages, events, time."""
        self._rooms.start()
        self._signs.pipeline_goes_round()
        self._health.start()
        self._count_predecessor()
        self._channel.send({"kind": "running"})
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        self._poller.register(self._channel.fileno(), select.EPOLLIN)
        self._poller.register(self._stray.fileno(), select.EPOLLIN)
        pause_ms = 0
        next_housekeeping = next_report = 0.0
        while not self._stopping:
            for ready, _ in self._poller.poll(pause_ms / 1000):
                if ready == self._channel.fileno():
                    self._receive_messages()
                elif ready == self._stray.fileno():
                    self._stray.drain()
            self._signs.pipeline_goes_round()
            pause_ms = _pause_ms(self._read())
            now = time.monotonic()
            if now >= next_housekeeping:
                next_housekeeping = now + HOUSEKEEPING_SECONDS
                self._keep_house()
            if now >= next_report:
                next_report = now + 1.0
                self._report_losses()
                self._losses.observe(self._all_losses(), now)
        self._finish()

    def _read(self) -> int:
        """Take the next events; returns how many bytes they took in the ring."""
        if self._intake is None:
            return 0
        events, size = self._intake.read(BATCH_BYTES)
        if events:
            if self._signs.plaintext.has_questions:
                self._plaintext.look(events)
            self._chain.receive(events)
            self._ledger.write(self._balance())  # 3 µs a batch, and a successor counts to the last one
        return size

    def _keep_house(self) -> None:
        self._chain.tick(boottime_ns())
        self._ledger.write(self._balance())

    def _receive_messages(self) -> None:
        messages, descriptors, alive = self._channel.receive()
        for message in messages:
            match message["kind"]:
                case "rings":
                    self._take_rings(message, descriptors)
                case "process":
                    self._chain.learn(read_facts(message), allowed=bool(message["allowed"]))
                case "probes":
                    self._readiness.hear(message)
                case "coverage":
                    self._coverage.hear(message)
                    if message["has_ended"]:
                        self._rooms.workloads.end(ProcessId(*message["process"]))
                case "selectors":
                    selectors = Selectors.parse(message["include"], message["exclude"])
                    self._rooms.workloads.choose(selectors.allows)
                case "log":
                    set_up_logging(message["level"], message["form"])
                case "stop":
                    self._stopping = True
        if not alive:
            logger.error("the supervisor is gone; draining and stopping")
            self._stopping = True

    def _take_rings(self, message: Message, descriptors: list[int]) -> None:
        data, control, counters, ended, handshakes = descriptors[:5]
        self._intake = Intake(
            RingBuffer(data, message["data_bytes"]),
            RingBuffer(control, message["control_bytes"]),
            RingBuffer(handshakes, message["handshake_bytes"]),
        )
        self._readiness.rings_are_here()
        self._counters = Counters(counters)
        self._lost = self._counters.read()
        self._endings = Endings(ended)
        # Edge-triggered: only a wake-up that the kernel side asked for ends a pause, not data as such.
        self._poller.register(data, select.EPOLLIN | select.EPOLLET)
        for descriptor in (control, counters, ended, handshakes):
            os.close(descriptor)

    def _ended(self) -> Mapping[str, int]:
        return self._endings.read() if self._endings else {}

    def _described_coverage(self) -> dict[str, Any]:
        connections = {**self._ended(), "unbound": self._chain.statistics().unbound}
        return {**self._coverage.as_json(), "connections": connections}

    @property
    def _malformed(self) -> int:
        return self._intake.malformed if self._intake else 0

    def _all_losses(self) -> dict[str, int]:
        """Everything that is counted as lost, by what and why; names are for the log."""
        losses = {
            f"kernel events ({why})": loss.events
            for why, loss in self._kernel_losses().items()
            if why != NEVER_SENT
        }
        losses["kernel records (malformed)"] = self._malformed
        for signal_name, statistics in self._rooms.telemetry.statistics().signals.items():
            losses[f"{signal_name} (rejected)"] = statistics.rejected
            losses |= {f"{signal_name} ({why})": count for why, count in statistics.dropped.items()}
        archive = self._rooms.archive.statistics()
        losses |= {
            f"payloads ({why})": count for why, count in archive.refused.items() if why != STORE_DISABLED
        }
        if archive.uploads is not None:
            losses["segments"] = archive.uploads.dropped
        return losses

    def _kernel_losses(self) -> Mapping[str, Loss]:
        return self._counters.read() if self._counters else {}

    def _report_losses(self) -> None:
        losses = self._kernel_losses()
        for reason, now in losses.items():
            before = self._lost.get(reason, Loss(0, 0))
            if now.events > before.events and reason != NEVER_SENT:
                self._rooms.telemetry.lost(reason, now.events - before.events, now.bytes - before.bytes)
        self._lost = losses

    def _count_predecessor(self) -> None:
        left = self._ledger.take()
        if left is None:
            return
        logger.warning(
            "the pipeline was started again: %d finished exchanges were not delivered, %d connections "
            "were being read",
            left.owed,
            left.open_connections,
        )
        self._rooms.telemetry.lost("pipeline_restarted", left.owed)

    def _balance(self) -> Balance:
        return Balance(
            exchanges=self._chain.exchanges,
            settled=self._rooms.settled(),
            open_connections=self._chain.open_connections,
        )

    def _finish(self) -> None:
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        while time.monotonic() < deadline - SHUTDOWN_SECONDS * _ARCHIVE_SHARE and self._read():
            pass
        self._keep_house()
        self._chain.finish(boottime_ns())
        self._report_losses()
        stored = self._rooms.archive.shutdown(max(0.1, (deadline - time.monotonic()) * _ARCHIVE_SHARE))
        self._chain.write_outcomes()
        exported = self._rooms.telemetry.shutdown(max(0.1, deadline - time.monotonic()))
        if not (stored and exported):
            logger.warning(
                "stopped with work left: %s",
                " and ".join(
                    what
                    for what, done in (
                        ("payloads wait on disk for the next start", stored),
                        ("telemetry was not accepted by the collector", exported),
                    )
                    if not done
                ),
            )
        self._leave(0 if exported else self._undelivered())

    def _undelivered(self) -> int:
        """Finished exchanges whose spans the collector did not take before we had to stop."""
        traces = self._rooms.telemetry.statistics().signals.get(Signal.TRACES)
        return traces.dropped.get("shutdown", 0) if traces is not None else 0

    def _leave(self, owed: int) -> None:
        """What a successor has to count as lost; where there is none, the agent stops and said so."""
        self._ledger.clear()
        if owed:
            self._ledger.write(Balance(exchanges=owed))


def _pause_ms(size: int) -> int:
    for least, pause in _PAUSES_MS:
        if size >= least:
            return pause
    return _LONGEST_PAUSE_MS


def pipeline_main(
    settings: Settings, channel: Channel, listener: socket.socket, ledger: Ledger, signs: VitalSigns
) -> int:
    """Body of the forked process; returns its exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the supervisor decides, and says so on the channel
    stray = StrayOutput(show=False)
    try:
        openings = open_outside(settings, UnixClock())
        import_needed_later()
        drop_privileges(*pipeline_account(settings))
        Pipeline(
            settings, openings, channel=channel, listener=listener, ledger=ledger, signs=signs, stray=stray
        ).run()
    finally:
        stray.drain()
    return 0
