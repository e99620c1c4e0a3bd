# SPDX-License-Identifier: Apache-2.0
"""Telemetry: the one object of this room that the agent holds."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TextIO

from otel_qtap import __version__
from otel_qtap.conditions import State
from otel_qtap.model.exchange import Attributes
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import ConnectionContext, ProcessFacts
from otel_qtap.model.record import Record, SegmentStored, UploadOutcome
from otel_qtap.telemetry import names
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.limits import AttributeLimits, SpanLimits
from otel_qtap.telemetry.logs import LogEncoder
from otel_qtap.telemetry.observables import Observables
from otel_qtap.telemetry.openmetrics import MetricsPage, metrics_page, render_openmetrics
from otel_qtap.telemetry.otlp.requests import Group, Signal, instrumentation_scope
from otel_qtap.telemetry.otlp.sender import Backoff
from otel_qtap.telemetry.otlp.spool import MemorySpool, Spool
from otel_qtap.telemetry.resource import AgentIdentity, HostIdentity, agent_resource, resource_message
from otel_qtap.telemetry.self_metrics import exporter_component, register_exporter, register_processor
from otel_qtap.telemetry.signal_pipeline import (
    MetricsOutput,
    Outlet,
    SignalOutput,
    SignalPipeline,
    SignalStatistics,
)
from otel_qtap.telemetry.spans import SpanEncoder
from otel_qtap.telemetry.uploads import UploadEncoder
from otel_qtap.telemetry.workloads import Workloads

if TYPE_CHECKING:
    from otel_qtap.telemetry.metrics import AgentMetrics

_FLUSH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryStatistics:
    """Counts of this room. A signal whose exporter is ``none`` is absent from ``signals``."""

    signals: Mapping[Signal, SignalStatistics]
    spans_unsampled: int
    links_refused: int


class Telemetry:
    """Turns what the other rooms found out into OTLP, and sees it delivered.

    ``write`` and its siblings belong to one thread, the pipeline's: they encode and queue, and never
    wait. Construction loads what needs privileges (certificates); ``start`` starts the threads, after
    the agent's ``observables`` were registered. ``new_spool`` makes the place where requests of one
    signal wait for the collector.

    Raises:
        ExportError: a target cannot be used as it is.
    """

    def __init__(
        self,
        *,
        traces: SignalOutput,
        logs: SignalOutput,
        metrics: MetricsOutput,
        agent: AgentIdentity,
        host: HostIdentity,
        span_limits: SpanLimits | None = None,
        log_limits: AttributeLimits | None = None,
        new_spool: Callable[[Signal], Spool] = lambda _signal: MemorySpool(),
        backoff: Backoff | None = None,
        stream: TextIO | None = None,
        clock: UnixClock | None = None,
    ) -> None:
        span_limits = span_limits or SpanLimits()
        self.clock = clock or UnixClock()
        """From CLOCK_BOOTTIME to Unix time, for all who must agree with the spans."""
        workloads = Workloads(host, self.clock)
        self._resource = agent_resource(agent, host)
        scope = instrumentation_scope(names.SCOPE_PREFIX + names.AGENT_SCOPE, __version__)
        self._agent_group = Group(resource_message(self._resource), scope, names.SCHEMA_URL)
        self._spans = SpanEncoder(limits=span_limits, workloads=workloads, clock=self.clock)
        self._uploads = UploadEncoder(limits=span_limits, clock=self.clock)
        log_limits = log_limits or AttributeLimits()
        # Values are cut by the limit of the signal; nearly always it is the same, and so are the texts.
        self._event_texts = self._spans
        if log_limits.value_length != span_limits.attributes.value_length:
            self._event_texts = SpanEncoder(
                limits=replace(span_limits, attributes=log_limits), workloads=workloads, clock=self.clock
            )
        self._events = LogEncoder(
            limits=log_limits,
            workloads=workloads,
            agent=self._agent_group,
            clock=self.clock,
        )
        self._unsampled = 0
        self._spanless = 0
        self._outlets: dict[Signal, Outlet] = {}
        outputs: tuple[tuple[Signal, SignalOutput | MetricsOutput], ...] = (
            (Signal.TRACES, traces),
            (Signal.LOGS, logs),
            (Signal.METRICS, metrics),
        )
        for signal, output in outputs:
            if output.exporter != "none":
                self._outlets[signal] = Outlet(
                    signal=signal,
                    output=output,
                    spool=new_spool(signal),
                    stream=stream or sys.stdout,
                    backoff=backoff,
                    observe_attempt=self._record_attempt,
                )
        self._pipelines = {
            signal: SignalPipeline(
                signal=signal,
                limits=output.batch,
                outlet=self._outlets[signal],
                on_schedule=self.clock.anchor,
            )
            for signal, output in ((Signal.TRACES, traces), (Signal.LOGS, logs))
            if signal in self._outlets
        }
        self._traces = self._pipelines.get(Signal.TRACES)
        self._logs = self._pipelines.get(Signal.LOGS)
        self._metrics: AgentMetrics | None = None
        self._start_metrics: Callable[[], AgentMetrics] | None = None
        self.observables = self._own_observables()
        if Signal.METRICS in self._outlets:
            # The SDK, only where it is needed; now, because later its files may be out of reach.
            from otel_qtap.telemetry import metrics as sdk_metrics  # noqa: PLC0415

            self._start_metrics = partial(
                sdk_metrics.AgentMetrics,
                observables=self.observables,
                resource=self._resource,
                output=metrics,
                put=self._outlets[Signal.METRICS].put,
            )

    def write(self, record: Record) -> None:
        """Export the span of one exchange, and an event for each of its findings.

        Where the process makes the span itself, an event takes its place, and an INTERNAL span if wanted.
        """
        identity = record.identity
        if not identity.sampled:
            self._unsampled += 1
        elif identity.instrumentation:
            self._enrich(record)
        elif self._traces is not None:
            group, span = self._spans.encode(record)
            self._traces.append(group, span)
        if record.findings and self._logs is not None:
            self._append_logs(self._events.findings(record))

    def _enrich(self, record: Record) -> None:
        description = self._event_texts.describe(record)
        if self._logs is not None:
            group, attributes, _ = description
            self._logs.append(*self._events.captured(record, group, attributes))
        if not record.identity.capture_span_id:
            self._spanless += 1
        elif self._traces is not None:
            if self._event_texts is not self._spans:
                description = self._spans.describe(record)
            self._traces.append(*self._spans.span(record, description))

    def write_outcome(self, outcome: UploadOutcome) -> None:
        """Export the span of one upload, and the events about what became of its payloads."""
        if self._traces is not None:
            self._traces.append(self._agent_group, self._uploads.encode(outcome))
        if self._logs is not None:
            if isinstance(outcome, SegmentStored):
                self._append_logs([self._events.stored(outcome)])
            else:
                self._append_logs(self._events.dropped(outcome))

    def handshake(
        self,
        context: ConnectionContext,
        started_ns: int | None,
        ended_ns: int,
        facts: HandshakeFacts | None = None,
    ) -> None:
        """Export that a TLS handshake ended well; times are CLOCK_BOOTTIME nanoseconds, None: not known.

        ``facts`` None: nothing is known that ``context`` does not have.
        """
        if self._logs is not None:
            self._logs.append(*self._events.handshake(context, started_ns, ended_ns, facts))

    def connection_closed(
        self, context: ConnectionContext, timestamp_ns: int, reason: str, egress: int, ingress: int
    ) -> None:
        """Export that a connection is over, after so many plaintext bytes written and read."""
        if self._logs is not None:
            self._logs.append(*self._events.connection_closed(context, timestamp_ns, reason, egress, ingress))

    def lost(self, reason: str, lost_events: int, lost_bytes: int | None = None) -> None:
        """Export that captured data did not reach the pipeline; call once per interval and reason.

        ``lost_bytes`` None: how many is not known.
        """
        if self._logs is not None:
            self._logs.append(*self._events.lost(reason, lost_events, lost_bytes))

    def not_captured(self, facts: ProcessFacts, reason: str, library: str, detail: str) -> None:
        """Export that a process speaks TLS and is not captured; call once per process and reason."""
        if self._logs is not None:
            self._logs.append(*self._events.not_captured(facts, reason, library, detail))

    def start(self) -> None:
        """Start the exporters' threads."""
        for pipeline in self._pipelines.values():
            pipeline.start()
        if self._start_metrics is not None:
            self._outlets[Signal.METRICS].start()
            self._metrics = self._start_metrics()

    @property
    def is_running(self) -> bool:
        """Whether all exporters' threads run (part of readiness)."""
        return all(pipeline.is_running for pipeline in self._pipelines.values()) and all(
            outlet.is_running for outlet in self._outlets.values()
        )

    @property
    def healthy(self) -> bool:
        """Whether every signal's collector took the last request; per signal in ``statistics``."""
        return all(outlet.statistics().healthy for outlet in self._outlets.values())

    @property
    def deliveries(self) -> Mapping[Signal, State]:
        """Whether each signal's collector took the last request, and since when."""
        return {signal: outlet.delivery for signal, outlet in self._outlets.items()}

    def openmetrics(self) -> str:
        """Return the present values of all ``observables`` as OpenMetrics text."""
        return render_openmetrics(self.observables)

    def metrics_page(self, accept: str) -> MetricsPage:
        """Return the same for a request with this ``Accept`` field, in the format that it asks for."""
        return metrics_page(self.observables, accept)

    def flush(self, timeout_seconds: float = _FLUSH_SECONDS) -> bool:
        """Send what is queued now; return whether all was settled in time."""
        deadline = time.monotonic() + timeout_seconds
        if self._metrics is not None:
            self._metrics.collect()
        settled = True
        for signal, outlet in self._outlets.items():
            settled &= self._pipelines.get(signal, outlet).flush(deadline)
        return settled

    def shutdown(self, deadline_seconds: float) -> bool:
        """Flush and stop within ``deadline_seconds``; return whether everything went out."""
        deadline = time.monotonic() + deadline_seconds
        if self._metrics is not None:
            self._metrics.shutdown(deadline_seconds)
        settled = True
        for signal, outlet in self._outlets.items():
            settled &= self._pipelines.get(signal, outlet).shutdown(deadline)
        return settled

    @property
    def settled_spans(self) -> int | None:
        """Exchanges whose spans left this process, one way or another, those without a span included.

        Cheap, for it is asked several times a second. None where spans are not exported at all.
        """
        return None if self._traces is None else self._unsampled + self._spanless + self._traces.settled

    def statistics(self) -> TelemetryStatistics:
        """Return the counts so far."""
        return TelemetryStatistics(
            signals=MappingProxyType({signal: self._signal_statistics(signal) for signal in self._outlets}),
            spans_unsampled=self._unsampled,
            links_refused=self._spans.links_refused,
        )

    def _signal_statistics(self, signal: Signal) -> SignalStatistics:
        return self._pipelines.get(signal, self._outlets[signal]).statistics()

    def _append_logs(self, items: Iterable[tuple[Group, bytes]]) -> None:
        assert self._logs is not None
        for group, item in items:
            self._logs.append(group, item)

    def _record_attempt(self, signal: Signal, seconds: float, error: str) -> None:
        if self._metrics is not None:
            attributes: Attributes = dict(exporter_component(signal))
            if error:
                attributes[names.ERROR_TYPE] = error
            self._metrics.record_attempt(seconds, attributes)

    def _own_observables(self) -> Observables:
        observables = Observables()
        for signal in self._outlets:
            register_exporter(observables, signal, partial(self._signal_statistics, signal))
        for signal in self._pipelines:
            register_processor(observables, signal, partial(self._signal_statistics, signal))
        observables.register("qtap.export.links_refused", lambda: [(self._spans.links_refused, {})])
        return observables
