# SPDX-License-Identifier: Apache-2.0
"""Every room's statistics as the agent's own metrics: where a number comes from, one line each."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from otel_qtap.agent.assembly import Rooms
from otel_qtap.agent.chain import Chain
from otel_qtap.agent.coverage.table import CoverageTable
from otel_qtap.agent.vital_signs import VitalSigns
from otel_qtap.capture.ring import Loss
from otel_qtap.telemetry.observables import Observables

Observations = Iterable[tuple[int | float, Mapping[str, str]]]
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PIPELINE = {"qtap.process.role": "pipeline"}


def publish_metrics(
    rooms: Rooms,
    signs: VitalSigns,
    kernel_losses: Callable[[], Mapping[str, Loss]],
    malformed: Callable[[], int],
) -> None:
    """Register a reader for each metric of the catalogue that the pipeline can tell."""
    register = rooms.telemetry.observables.register
    chain, tracker, archive = rooms.chain, rooms.tracker, rooms.archive

    def single(name: str, read: Callable[[], int | float]) -> None:
        register(name, lambda: [(read(), {})])

    def by(name: str, key: str, read: Callable[[], Mapping[str, int]]) -> None:
        register(name, lambda: [(value, {key: label}) for label, value in read().items()])

    by("qtap.capture.lost", "qtap.capture.lost.reason", lambda: _events(kernel_losses()))
    by("qtap.capture.lost.io", "qtap.capture.lost.reason", lambda: _bytes(kernel_losses()))
    single("qtap.capture.malformed", malformed)
    single("qtap.connection.active", lambda: chain.open_connections)
    single("qtap.connection.opened", lambda: tracker.statistics().opened)
    by("qtap.connection.closed", "qtap.connection.close_reason", lambda: tracker.statistics().ended)
    single("qtap.stream.io", lambda: tracker.statistics().delivered_bytes)
    single("qtap.stream.held.io", lambda: tracker.statistics().held_bytes)
    by("qtap.stream.gaps", "qtap.stream.gap.cause", lambda: tracker.statistics().gaps)
    by("qtap.stream.gap.io", "qtap.stream.gap.cause", lambda: tracker.statistics().gap_bytes)
    single("qtap.stream.late", lambda: tracker.statistics().late_events)
    protocols = rooms.dispatcher.statistics
    by("qtap.exchange.parsed", "qtap.protocol", lambda: protocols().exchanges)
    by("qtap.exchange.unpaired", "qtap.protocol", lambda: protocols().unpaired_responses)
    by("qtap.protocol.malformed", "qtap.protocol", lambda: protocols().malformed_messages)
    by("qtap.protocol.skipped.io", "qtap.protocol", lambda: protocols().skipped_bytes)
    by("qtap.protocol.cut.io", "qtap.protocol", lambda: protocols().cut_body_bytes)
    single("qtap.protocol.opaque.io", lambda: protocols().opaque_bytes)
    single("qtap.protocol.opaque", lambda: protocols().opaque_connections)
    by("qtap.trace.placed", "qtap.trace.position", lambda: _positions(rooms))
    single("qtap.trace.derived", lambda: rooms.correlator.statistics().derived)
    single("qtap.trace.reused_random", lambda: rooms.correlator.statistics().reused_randoms)
    single("qtap.trace.unsampled", lambda: rooms.correlator.statistics().unsampled)
    single("qtap.trace.malformed", lambda: rooms.correlator.statistics().malformed)
    single("qtap.handshake.dropped", lambda: chain.statistics().handshakes_dropped)
    single("qtap.exchange.otlp", lambda: chain.statistics().otlp)
    single("qtap.exchange.own", lambda: chain.statistics().own)
    single("qtap.payload.classified", lambda: rooms.classifier.statistics().cleared)
    single("qtap.payload.withheld", lambda: rooms.classifier.statistics().withheld)
    single("qtap.payload.findings", lambda: rooms.classifier.statistics().findings)
    single("qtap.payload.records", lambda: archive.statistics().records)
    single("qtap.payload.captured.io", lambda: archive.statistics().captured_bytes)
    single("qtap.payload.written.io", lambda: archive.statistics().written_bytes)
    by("qtap.payload.refused", "qtap.payload.drop_reason", lambda: archive.statistics().refused)
    if archive.statistics().uploads is not None:
        _publish_uploads(rooms, single)
    single("qtap.pipeline.restarts", lambda: signs.restarts)
    by("qtap.config.reloads", "qtap.config.reload.outcome", lambda: signs.reloads)
    register("process.cpu.time", _cpu_times)
    register("process.memory.usage", lambda: [(_resident_bytes(), _PIPELINE)])


def publish_coverage(
    observables: Observables, table: CoverageTable, chain: Chain, ended: Callable[[], Mapping[str, int]]
) -> None:
    """Register what is known of processes that speak TLS, and of their connections."""

    def processes() -> Observations:
        for (state, reason), count in table.counts().items():
            labels = {"qtap.coverage.state": state}
            yield count, {**labels, "qtap.coverage.reason": reason} if reason else labels

    observables.register("qtap.coverage.processes", processes)
    observables.register(
        "qtap.coverage.connections",
        lambda: [(count, {"qtap.coverage.ending": ending}) for ending, count in ended().items()],
    )
    observables.register("qtap.connection.unbound", lambda: [(chain.statistics().unbound, {})])


def _publish_uploads(rooms: Rooms, single: Callable[[str, Callable[[], int]], None]) -> None:
    def read(field: str) -> Callable[[], int]:
        return lambda: int(getattr(rooms.archive.statistics().uploads, field))

    single("qtap.segment.stored", read("stored"))
    single("qtap.segment.stored.io", read("stored_bytes"))
    single("qtap.segment.failures", read("failures"))
    single("qtap.segment.dropped", read("dropped"))
    single("qtap.segment.dropped.io", read("dropped_bytes"))
    single("qtap.segment.dangling", read("dropped_spans"))
    single("qtap.segment.waiting", read("waiting"))
    single("qtap.segment.waiting.io", read("waiting_bytes"))


def _events(losses: Mapping[str, Loss]) -> dict[str, int]:
    return {reason: loss.events for reason, loss in losses.items()}


def _bytes(losses: Mapping[str, Loss]) -> dict[str, int]:
    return {reason: loss.bytes for reason, loss in losses.items()}


def _positions(rooms: Rooms) -> dict[str, int]:
    statistics = rooms.correlator.statistics()
    return {
        "root": statistics.roots,
        "child": statistics.children,
        "link": statistics.links,
        "enriched": statistics.enriched,
    }


def _cpu_times() -> Observations:
    times = os.times()
    return [
        (times.user, {**_PIPELINE, "cpu.mode": "user"}),
        (times.system, {**_PIPELINE, "cpu.mode": "system"}),
    ]


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
