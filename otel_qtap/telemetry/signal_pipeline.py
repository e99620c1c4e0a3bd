# SPDX-License-Identifier: Apache-2.0
"""One signal's way out: batch queue, spool, sender."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TextIO

from otel_qtap.errors import ExportError
from otel_qtap.telemetry.batching import BatchQueue
from otel_qtap.telemetry.limits import BatchLimits
from otel_qtap.telemetry.otlp.requests import Group, Signal
from otel_qtap.telemetry.otlp.sender import Backoff, Sender
from otel_qtap.telemetry.otlp.spool import Spool
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.otlp.transport import Transport

ExporterKind = Literal["otlp", "console", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalOutput:
    """What becomes of one signal (OTEL_*_EXPORTER); ``target`` is needed for ``otlp`` only."""

    exporter: ExporterKind = "otlp"
    target: OtlpTarget | None = None
    batch: BatchLimits = field(default_factory=BatchLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalStatistics:
    """Items of one signal, each counted once: queued, exported, rejected by the collector, dropped.

    ``dropped`` counts by reason: ``queue_full``, ``spool_full``, ``shutdown``, or the HTTP status or
    gRPC code with which the collector refused.
    """

    queued: int
    queue_size: int
    queue_capacity: int
    spooled: int
    exported: int
    rejected: int
    retries: int
    dropped: Mapping[str, int]
    healthy: bool
    last_error: str


def open_transport(output: SignalOutput, signal: Signal, stream: TextIO) -> Transport:
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


class SignalPipeline:
    """Takes encoded items of one signal and sees them delivered, or counted."""

    def __init__(
        self,
        *,
        signal: Signal,
        output: SignalOutput,
        spool: Spool,
        stream: TextIO,
        backoff: Backoff | None = None,
        on_schedule: Callable[[], None] = lambda: None,
    ) -> None:
        target = output.target
        export_timeout = output.batch.export_timeout_ms / 1000
        self._spool = spool
        self._batches = BatchQueue(
            signal=signal, limits=output.batch, put_request=spool.put, on_schedule=on_schedule
        )
        self._sender = Sender(
            signal=signal,
            spool=spool,
            transport=open_transport(output, signal, stream),
            destination=target.display_name if target is not None else output.exporter,
            timeout_seconds=export_timeout if target is None else min(target.timeout_seconds, export_timeout),
            backoff=backoff,
        )
        self._abandoned = 0

    def append(self, group: Group, item: bytes) -> bool:
        """Queue one framed item; False if the queue is full, which is counted."""
        return self._batches.append(group, item)

    def start(self) -> None:
        """Start both threads."""
        self._batches.start()
        self._sender.start()

    @property
    def is_running(self) -> bool:
        """Whether both threads run."""
        return self._batches.is_running and self._sender.is_running

    def flush(self, timeout_seconds: float) -> bool:
        """Send everything queued; return whether all was settled in time."""
        self._batches.drain()
        return self._spool.wait_empty(timeout_seconds)

    def shutdown(self, deadline: float) -> bool:
        """Flush and stop; return whether nothing was left at ``deadline`` (``time.monotonic``)."""
        self._batches.stop()
        settled = self._spool.wait_empty(_remaining(deadline))
        self._sender.stop(_remaining(deadline))
        self._abandoned = self._spool.waiting_items
        return settled

    def statistics(self) -> SignalStatistics:
        """Return the counts so far."""
        sender = self._sender.statistics()
        dropped = dict(sender.dropped)
        if self._batches.dropped:
            dropped["queue_full"] = self._batches.dropped
        if self._abandoned:
            dropped["shutdown"] = self._abandoned
        return SignalStatistics(
            queued=self._batches.accepted,
            queue_size=self._batches.waiting,
            queue_capacity=self._batches.capacity,
            spooled=sender.waiting,
            exported=sender.exported,
            rejected=sender.rejected,
            retries=sender.retries,
            dropped=MappingProxyType(dropped),
            healthy=sender.healthy,
            last_error=sender.last_error,
        )


def _remaining(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
