# SPDX-License-Identifier: Apache-2.0
"""Telemetry: the one object of this room that the agent holds."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TextIO

from otel_qtap.model.record import Record
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.limits import AttributeLimits, SpanLimits
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.otlp.sender import Backoff
from otel_qtap.telemetry.otlp.spool import DEFAULT_SPOOL_BYTES, MemorySpool
from otel_qtap.telemetry.resource import AgentIdentity, HostIdentity
from otel_qtap.telemetry.signal_pipeline import SignalOutput, SignalPipeline, SignalStatistics
from otel_qtap.telemetry.spans import SpanEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryStatistics:
    """Counts of this room. A signal whose exporter is ``none`` is absent from ``signals``."""

    signals: Mapping[Signal, SignalStatistics]
    spans_unsampled: int
    links_refused: int


class Telemetry:
    """Turns what the other rooms found out into OTLP, and sees it delivered.

    ``write`` and its siblings belong to the pipeline's thread: they encode and queue, and never wait.
    Construction opens what needs privileges (certificates); ``start`` starts the threads.

    Raises:
        ExportError: a target cannot be used as it is.
    """

    def __init__(
        self,
        *,
        traces: SignalOutput,
        logs: SignalOutput,
        agent: AgentIdentity,
        host: HostIdentity,
        span_limits: SpanLimits | None = None,
        log_limits: AttributeLimits | None = None,
        spool_bytes: int = DEFAULT_SPOOL_BYTES,
        backoff: Backoff | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self._clock = UnixClock()
        self._pipelines: dict[Signal, SignalPipeline] = {}
        for signal, output in ((Signal.TRACES, traces), (Signal.LOGS, logs)):
            if output.exporter != "none":
                self._pipelines[signal] = SignalPipeline(
                    signal=signal,
                    output=output,
                    spool=MemorySpool(spool_bytes),
                    stream=stream or sys.stdout,
                    backoff=backoff,
                    on_schedule=self._clock.anchor,
                )
        self._traces = self._pipelines.get(Signal.TRACES)
        self._logs = self._pipelines.get(Signal.LOGS)
        self._spans = SpanEncoder(limits=span_limits or SpanLimits(), host=host, clock=self._clock)
        self._unsampled = 0

    def write(self, record: Record) -> None:
        """Export the span of one exchange, and the log events that belong to it."""
        if not record.identity.sampled:
            self._unsampled += 1
        elif self._traces is not None:
            group, span = self._spans.encode(record)
            self._traces.append(group, span)

    def start(self) -> None:
        """Start the exporters' threads."""
        for pipeline in self._pipelines.values():
            pipeline.start()

    @property
    def is_running(self) -> bool:
        """Whether all exporters' threads run (part of readiness)."""
        return all(pipeline.is_running for pipeline in self._pipelines.values())

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Send what is queued now; return whether all was settled in time."""
        deadline = time.monotonic() + timeout_seconds
        settled = [
            pipeline.flush(max(0.0, deadline - time.monotonic())) for pipeline in self._pipelines.values()
        ]
        return all(settled)

    def shutdown(self, deadline_seconds: float) -> bool:
        """Flush and stop within ``deadline_seconds``; return whether everything went out."""
        deadline = time.monotonic() + deadline_seconds
        settled = [pipeline.shutdown(deadline) for pipeline in self._pipelines.values()]
        return all(settled)

    def statistics(self) -> TelemetryStatistics:
        """Return the counts so far."""
        return TelemetryStatistics(
            signals=MappingProxyType({name: pipe.statistics() for name, pipe in self._pipelines.items()}),
            spans_unsampled=self._unsampled,
            links_refused=self._spans.links_refused,
        )
