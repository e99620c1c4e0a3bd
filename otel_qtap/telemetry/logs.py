# SPDX-License-Identifier: Apache-2.0
"""Log events: what happened that is no exchange, each a LogRecord with an EventName and flat attributes.

Events about an observed connection belong to the workload's resource, events about the agent's work
to its own.
"""

from collections.abc import Iterator
from typing import Final

from otel_qtap.model.classified import Finding
from otel_qtap.model.exchange import Attributes
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import ConnectionContext, ProcessFacts, Role
from otel_qtap.model.record import Record, SegmentDropped, SegmentStored
from otel_qtap.model.trace import SpanTarget
from otel_qtap.telemetry import names
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.limits import AttributeLimits
from otel_qtap.telemetry.otlp.attributes import LOG_ATTRIBUTES, AttributeEncoder
from otel_qtap.telemetry.otlp.logs import SEVERITY_INFO, SEVERITY_WARN, log_message
from otel_qtap.telemetry.otlp.requests import Group
from otel_qtap.telemetry.tls import event_attributes
from otel_qtap.telemetry.workloads import Workloads

_TLS_SCOPE: Final = "tls"
_SAMPLED: Final = 1


class LogEncoder:
    """Encodes log events. Used by one thread at a time; ``agent`` is the group of the agent's own."""

    def __init__(
        self, *, limits: AttributeLimits, workloads: Workloads, agent: Group, clock: UnixClock
    ) -> None:
        self._count = limits.count
        self._attributes = AttributeEncoder(LOG_ATTRIBUTES, value_length=limits.value_length)
        self._workloads = workloads
        self._agent = agent
        self._clock = clock

    def handshake(
        self,
        context: ConnectionContext,
        started_ns: int | None,
        ended_ns: int,
        facts: HandshakeFacts | None = None,
    ) -> tuple[Group, bytes]:
        """A TLS handshake ended well; times are CLOCK_BOOTTIME nanoseconds, None: not known.

        ``facts`` None: nothing is known that ``context`` does not have.
        """
        attributes = self._connection_attributes(context)
        attributes[names.TLS_ESTABLISHED] = True
        if started_ns is not None:
            attributes[names.TLS_HANDSHAKE_DURATION] = max(0, ended_ns - started_ns) / 1e9
        if context.handshake is not None:
            attributes.update(event_attributes(context.handshake, facts))
        return self._workload_group(context, _TLS_SCOPE), self._event(
            names.EVENT_TLS_HANDSHAKE, SEVERITY_INFO, ended_ns, attributes
        )

    def connection_closed(
        self, context: ConnectionContext, timestamp_ns: int, reason: str, egress: int, ingress: int
    ) -> tuple[Group, bytes]:
        """A connection is over after ``egress`` bytes written and ``ingress`` bytes read."""
        attributes = self._connection_attributes(context)
        attributes[names.CONNECTION_CLOSE_REASON] = reason
        attributes[names.CONNECTION_EGRESS_BYTES] = egress
        attributes[names.CONNECTION_INGRESS_BYTES] = ingress
        return self._workload_group(context, _TLS_SCOPE), self._event(
            names.EVENT_CONNECTION_CLOSED, SEVERITY_INFO, timestamp_ns, attributes
        )

    def captured(self, record: Record, group: Group, attributes: list[bytes]) -> tuple[Group, bytes]:
        """An exchange was captured whose span the process makes itself: what our span would have said.

        ``attributes`` are fragments of a span. They are told under the span's id: on the side of the
        client its own span, on that of the server the span that called it.
        """
        identity = record.identity
        # The same message in another field: only the tag differs.
        fragments = [LOG_ATTRIBUTES + fragment[1:] for fragment in attributes[: self._count]]
        return group, log_message(
            event_name=names.EVENT_PAYLOAD_CAPTURED,
            severity_number=SEVERITY_INFO,
            time_unix_ns=self._clock.unix(record.end_ns),
            observed_unix_ns=self._clock.now(),
            attributes=fragments,
            dropped_attributes=max(0, len(attributes) - self._count),
            trace_id=identity.trace_id,
            span_id=identity.span_id,
            trace_flags=identity.trace_flags,
        )

    def findings(self, record: Record) -> Iterator[tuple[Group, bytes]]:
        """Sensitive data was found in the payloads of an exchange: one event per finding."""
        group = self._workload_group(record.connection, record.protocol)
        identity = record.identity
        span = SpanTarget(trace_id=identity.trace_id, span_id=identity.span_id)
        for finding in record.findings:
            yield (
                group,
                self._event(
                    names.EVENT_SENSITIVE_DATA_FOUND,
                    SEVERITY_WARN,
                    record.end_ns,
                    _finding_attributes(finding),
                    span=span,
                    trace_flags=identity.trace_flags,
                ),
            )

    def stored(self, outcome: SegmentStored) -> tuple[Group, bytes]:
        """A segment reached the store: one event, in the trace of its upload."""
        attributes: Attributes = {
            names.PAYLOAD_URI: outcome.uri,
            names.PAYLOAD_SIZE: outcome.size,
            names.PAYLOAD_RECORDS: outcome.records,
            names.PAYLOAD_STATUS: "stored",
        }
        return self._agent, self._event(
            names.EVENT_PAYLOAD_STORED, SEVERITY_INFO, outcome.end_ns, attributes, span=outcome.upload
        )

    def dropped(self, outcome: SegmentDropped) -> Iterator[tuple[Group, bytes]]:
        """A segment was given up: one event for each span whose references lead nowhere now."""
        attributes: Attributes = {
            names.PAYLOAD_URI: outcome.uri,
            names.PAYLOAD_STATUS: "dropped",
            names.PAYLOAD_DROP_REASON: outcome.reason,
            names.ERROR_TYPE: outcome.reason,
        }
        for span in outcome.spans:
            yield (
                self._agent,
                self._event(
                    names.EVENT_PAYLOAD_DROPPED, SEVERITY_WARN, outcome.end_ns, attributes, span=span
                ),
            )

    def lost(self, reason: str, lost_events: int, lost_bytes: int | None) -> tuple[Group, bytes]:
        """Captured data did not reach the pipeline."""
        attributes: Attributes = {
            names.CAPTURE_LOST_REASON: reason,
            names.CAPTURE_LOST_EVENTS: lost_events,
        }
        if lost_bytes is not None:
            attributes[names.CAPTURE_LOST_BYTES] = lost_bytes
        return self._agent, self._event(names.EVENT_CAPTURE_LOST, SEVERITY_WARN, None, attributes)

    def not_captured(
        self, facts: ProcessFacts, reason: str, library: str, detail: str
    ) -> tuple[Group, bytes]:
        """A process speaks TLS and is not captured. ``library``: what it speaks it with, if known."""
        workload = self._workloads.of(facts)
        attributes: Attributes = dict(workload.attributes)
        attributes[names.COVERAGE_REASON] = reason
        attributes[names.COVERAGE_DETAIL] = detail
        if library:
            attributes[names.TLS_LIBRARY] = library
        return self._workloads.group(workload, _TLS_SCOPE), self._event(
            names.EVENT_NOT_CAPTURED, SEVERITY_INFO, None, attributes
        )

    def _workload_group(self, context: ConnectionContext, scope: str) -> Group:
        return self._workloads.group(self._workloads.of(context.facts), scope)

    def _connection_attributes(self, context: ConnectionContext) -> Attributes:
        attributes = dict(self._workloads.of(context.facts).attributes)
        attributes[names.TLS_LIBRARY] = context.tls_library
        attributes[names.PEER_SOURCE] = context.peer_source.value
        if context.remote is not None:
            attributes[names.NETWORK_PEER_ADDRESS] = context.remote.address
            attributes[names.NETWORK_PEER_PORT] = context.remote.port
        if context.local is not None:
            attributes[names.NETWORK_LOCAL_ADDRESS] = context.local.address
            attributes[names.NETWORK_LOCAL_PORT] = context.local.port
        if context.role is not Role.UNKNOWN:
            attributes[names.CAPTURE_SIDE] = "client" if context.role is Role.CLIENT else "server"
        return attributes

    def _event(
        self,
        name: str,
        severity_number: int,
        timestamp_ns: int | None,
        attributes: Attributes,
        *,
        span: SpanTarget | None = None,
        trace_flags: int = _SAMPLED,
    ) -> bytes:
        now = self._clock.now()
        fragments = self._attributes.fragments(attributes)
        return log_message(
            event_name=name,
            severity_number=severity_number,
            time_unix_ns=now if timestamp_ns is None else self._clock.unix(timestamp_ns),
            observed_unix_ns=now,
            attributes=fragments[: self._count],
            dropped_attributes=max(0, len(fragments) - self._count),
            trace_id=b"" if span is None else span.trace_id,
            span_id=b"" if span is None else span.span_id,
            trace_flags=trace_flags,
        )


def _finding_attributes(finding: Finding) -> Attributes:
    return {
        names.FINDING_CLASSIFIER: finding.classifier,
        names.FINDING_CATEGORY: finding.category,
        names.PAYLOAD_PART: finding.part.value,
        names.FINDING_COUNT: finding.count,
    }
