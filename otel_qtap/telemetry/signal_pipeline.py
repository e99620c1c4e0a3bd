# SPDX-License-Identifier: Apache-2.0
"""One signal's way out: batch queue, spool, sender."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Literal, TextIO

from otel_qtap.conditions import State
from otel_qtap.errors import ExportError
from otel_qtap.telemetry.batching import BatchQueue
from otel_qtap.telemetry.limits import BatchLimits
from otel_qtap.telemetry.otlp.requests import ExportRequest, Group, Signal
from otel_qtap.telemetry.otlp.sender import Backoff, Sender
from otel_qtap.telemetry.otlp.spool import Spool
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.otlp.transport import Transport

ExporterKind = Literal["otlp", "console", "none"]
TemporalityPreference = Literal["cumulative", "delta", "lowmemory"]
HistogramAggregation = Literal["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]
ObserveAttempt = Callable[[Signal, float, str], None]
"""Told of each attempt to send: its signal, its seconds, and why it failed; "" if it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalOutput:
    """What becomes of one signal (OTEL_*_EXPORTER); ``target`` is needed for ``otlp`` only."""

    exporter: ExporterKind = "otlp"
    target: OtlpTarget | None = None
    batch: BatchLimits = field(default_factory=BatchLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsOutput:
    """What becomes of the agent's own metrics (OTEL_METRIC_EXPORT_*, OTEL_EXPORTER_OTLP_METRICS_*)."""

    exporter: ExporterKind = "otlp"
    target: OtlpTarget | None = None
    interval_ms: int = 60_000
    export_timeout_ms: int = 30_000
    temporality_preference: TemporalityPreference = "cumulative"
    default_histogram_aggregation: HistogramAggregation = "explicit_bucket_histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalStatistics:
    """Items of one signal, each counted once: queued, exported, rejected by the collector, dropped.

    ``dropped`` counts by reason: ``queue_full``, ``spool_full``, ``shutdown``, or the HTTP status or
    gRPC code with which the collector refused.
    """

    spooled: int
    exported: int
    rejected: int
    retries: int
    dropped: Mapping[str, int]
    healthy: bool
    last_error: str
    queued: int = 0
    queue_size: int = 0
    queue_capacity: int = 0


def open_transport(output: SignalOutput | MetricsOutput, signal: Signal, stream: TextIO) -> Transport:
    """Return the transport that ``output`` asks for; its libraries are imported only now.

    Raises:
        ExportError: the target cannot be used as it is, or needs a library that is not installed.
    """
    if output.exporter == "console":
        from otel_qtap.telemetry.otlp.transport_console import ConsoleTransport  # noqa: PLC0415

        return ConsoleTransport(signal, stream)
    if output.target is None:
        raise ExportError(f"no OTLP endpoint for {signal}")
    if output.target.protocol == "grpc":
        from otel_qtap.telemetry.otlp.transport_grpc import GrpcTransport  # noqa: PLC0415

        return GrpcTransport(output.target, signal)
    from otel_qtap.telemetry.otlp.transport_http import HttpTransport  # noqa: PLC0415

    return HttpTransport(output.target, signal)


def shortest_timeout(*timeouts: float) -> float | None:
    """Return the shortest of timeouts in seconds, of which 0 is no limit; None if there is no limit."""
    return min((timeout for timeout in timeouts if timeout > 0), default=None)


class Outlet:
    """A spool and the sender that empties it."""

    def __init__(
        self,
        *,
        signal: Signal,
        output: SignalOutput | MetricsOutput,
        spool: Spool,
        stream: TextIO,
        backoff: Backoff | None,
        observe_attempt: ObserveAttempt,
    ) -> None:
        target = output.target
        timeout_ms = (
            output.batch.export_timeout_ms if isinstance(output, SignalOutput) else output.export_timeout_ms
        )
        self._spool = spool
        self._sender = Sender(
            signal=signal,
            spool=spool,
            transport=open_transport(output, signal, stream),
            destination=target.display_name if target is not None else output.exporter,
            timeout_seconds=shortest_timeout(
                timeout_ms / 1000, target.timeout_seconds if target is not None else 0.0
            ),
            backoff=backoff,
            observe_attempt=partial(observe_attempt, signal),
        )
        self._abandoned = 0

    def put(self, request: ExportRequest) -> None:
        """Spool a request."""
        self._spool.put(request)

    def start(self) -> None:
        """Start the sender's thread."""
        self._sender.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread runs."""
        return self._sender.is_running

    @property
    def delivery(self) -> State:
        """Whether the collector took the last request, and since when."""
        return self._sender.delivery

    def flush(self, deadline: float) -> bool:
        """Return whether everything spooled was settled by ``deadline`` (``time.monotonic``)."""
        return self._spool.wait_empty(remaining_seconds(deadline))

    def shutdown(self, deadline: float) -> bool:
        """Flush and stop; return whether nothing was left at ``deadline`` (``time.monotonic``)."""
        settled = self.flush(deadline)
        self._sender.stop(remaining_seconds(deadline))
        self._abandoned = self._spool.waiting_items
        return settled

    @property
    def settled(self) -> int:
        """Items that were delivered or given up, ever."""
        return self._sender.settled + self._abandoned

    def statistics(self) -> SignalStatistics:
        """Return the counts so far; those of a batch queue are zero."""
        sender = self._sender.statistics()
        dropped = dict(sender.dropped)
        if self._abandoned:
            dropped["shutdown"] = self._abandoned
        return SignalStatistics(
            spooled=sender.waiting,
            exported=sender.exported,
            rejected=sender.rejected,
            retries=sender.retries,
            dropped=MappingProxyType(dropped),
            healthy=sender.healthy,
            last_error=sender.last_error,
        )


class SignalPipeline:
    """Takes encoded items of one signal and sees them delivered, or counted."""

    def __init__(
        self, *, signal: Signal, limits: BatchLimits, outlet: Outlet, on_schedule: Callable[[], None]
    ) -> None:
        self._outlet = outlet
        self._batches = BatchQueue(
            signal=signal, limits=limits, put_request=outlet.put, on_schedule=on_schedule
        )

    def append(self, group: Group, item: bytes) -> bool:
        """Queue one framed item; False if the queue is full, which is counted."""
        return self._batches.append(group, item)

    def start(self) -> None:
        """Start both threads."""
        self._batches.start()
        self._outlet.start()

    @property
    def is_running(self) -> bool:
        """Whether both threads run."""
        return self._batches.is_running and self._outlet.is_running

    def flush(self, deadline: float) -> bool:
        """Send everything queued; return whether all was settled by ``deadline`` (``time.monotonic``)."""
        self._batches.drain()
        return self._outlet.flush(deadline)

    def shutdown(self, deadline: float) -> bool:
        """Flush and stop; return whether nothing was left at ``deadline`` (``time.monotonic``)."""
        self._batches.stop()
        return self._outlet.shutdown(deadline)

    @property
    def settled(self) -> int:
        """Items that were delivered or given up, ever: what ``statistics`` exported, rejected and dropped."""
        return self._outlet.settled + self._batches.dropped

    def statistics(self) -> SignalStatistics:
        """Return the counts so far."""
        sent = self._outlet.statistics()
        dropped = dict(sent.dropped)
        if self._batches.dropped:
            dropped["queue_full"] = self._batches.dropped
        return replace(
            sent,
            queued=self._batches.accepted,
            queue_size=self._batches.waiting,
            queue_capacity=self._batches.capacity,
            dropped=MappingProxyType(dropped),
        )


def remaining_seconds(deadline: float) -> float:
    """Seconds until ``deadline`` (``time.monotonic``), never negative."""
    return max(0.0, deadline - time.monotonic())
