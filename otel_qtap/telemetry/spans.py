# SPDX-License-Identifier: Apache-2.0
"""Record -> encoded span. On the hot path: everything that repeats is encoded once and looked up.

Three things are remembered: each attribute's bytes (``AttributeEncoder``), all that a connection adds
to its spans, and the group (resource and scope) that its spans belong to.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from otel_qtap.model.exchange import Attributes, SpanKind
from otel_qtap.model.identity import ConnectionContext, ConnectionId
from otel_qtap.model.record import Record
from otel_qtap.model.trace import SpanTarget
from otel_qtap.telemetry import names
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.limits import SpanLimits
from otel_qtap.telemetry.otlp.attributes import (
    LINK_ATTRIBUTES,
    SPAN_ATTRIBUTES,
    AttributeEncoder,
    VaryingAttribute,
)
from otel_qtap.telemetry.otlp.requests import Group
from otel_qtap.telemetry.otlp.spans import (
    FLAG_HAS_IS_REMOTE,
    FLAG_IS_REMOTE,
    FLAG_SAMPLED,
    KIND_CLIENT,
    KIND_INTERNAL,
    KIND_SERVER,
    link_message,
    span_message,
)
from otel_qtap.telemetry.tls import span_attributes
from otel_qtap.telemetry.workloads import Workload, Workloads

# Members of an enum cost a look-up on the class each time they are named.
_CLIENT: Final = SpanKind.CLIENT
_SERVER: Final = SpanKind.SERVER
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)
_STORE_DISABLED: Final = "store_disabled"
_REMEMBERED_CONNECTIONS: Final = 8192
_UPLOAD_LINK_FLAGS: Final = FLAG_HAS_IS_REMOTE | FLAG_SAMPLED
_OBSERVED_LINK_FLAGS: Final = FLAG_HAS_IS_REMOTE | FLAG_IS_REMOTE


Description = tuple[Group, list[bytes], list[bytes]]
"""Group, attributes and links of a record, the last two as framed fragments of a span."""


@dataclass(slots=True)
class _Connection:
    """What one connection adds to each of its spans."""

    context: ConnectionContext
    workload: Workload
    fragments: list[bytes]


class SpanEncoder:
    """Encodes records of one pipeline. Used by one thread at a time."""

    def __init__(self, *, limits: SpanLimits, workloads: Workloads, clock: UnixClock) -> None:
        self._attribute_count = limits.attributes.count
        self._link_count = limits.link_count
        self._link_attribute_count = limits.link_attribute_count
        value_length = limits.attributes.value_length
        self._workloads = workloads
        self._clock = clock
        self._attributes = AttributeEncoder(SPAN_ATTRIBUTES, value_length=value_length)
        self._link_attributes = AttributeEncoder(LINK_ATTRIBUTES, value_length=value_length)
        varying = partial(VaryingAttribute, value_length=value_length)
        self._request_reference = varying(names.REQUEST_CONTENT_REF).text
        self._response_reference = varying(names.RESPONSE_CONTENT_REF).text
        self._uri = varying(names.PAYLOAD_URI).text
        self._sha256 = varying(names.PAYLOAD_SHA256).text
        self._size = varying(names.PAYLOAD_SIZE).number
        self._captured_size = varying(names.PAYLOAD_CAPTURED_SIZE).number
        self._offset = varying(names.PAYLOAD_OFFSET).number
        self._length = varying(names.PAYLOAD_LENGTH).number
        self._connections: dict[ConnectionId, _Connection] = {}
        # What nearly every span needs, encoded once.
        fragment, link_fragment = self._attributes.fragment, self._link_attributes.fragment
        self._client_side = fragment(names.CAPTURE_SIDE, "client")
        self._server_side = fragment(names.CAPTURE_SIDE, "server")
        self._complete = fragment(names.CAPTURE_COMPLETE, True)
        self._request_part = fragment(names.PAYLOAD_PART, "request")
        self._response_part = fragment(names.PAYLOAD_PART, "response")
        self._pending = fragment(names.PAYLOAD_STATUS, "pending")
        self._payload_kind = link_fragment(names.LINK_KIND, "payload")
        self._observed_kind = link_fragment(names.LINK_KIND, "observed_context")
        self.links_refused = 0
        """Links that pointed nowhere or into the span's own trace, ever."""

    def encode(self, record: Record) -> tuple[Group, bytes]:
        """Return the span of ``record``, framed, and the group it belongs to."""
        return self.span(record, self.describe(record))

    def describe(self, record: Record) -> Description:
        """Return what ``record`` says, whatever it is that says it: a span or a log event."""
        identity = record.identity
        connection = self._connections.get(record.connection.id)
        if connection is None or connection.context is not record.connection:
            connection = self._remember(record.connection)
        workload = connection.workload
        attributes = self._attributes
        parts = attributes.fragments(record.attributes)
        if record.error_type and names.ERROR_TYPE not in record.attributes:
            parts.append(attributes.fragment(names.ERROR_TYPE, record.error_type))
        parts += connection.fragments
        kind = record.kind
        if kind is _CLIENT:
            parts.append(self._client_side)
        elif kind is _SERVER:
            parts.append(self._server_side)
        parts.append(attributes.fragment(names.TRACE_JOIN, identity.join))
        if identity.instrumentation:
            parts.append(attributes.fragment(names.INSTRUMENTATION_EVIDENCE, identity.instrumentation))
        if record.incomplete:
            parts.append(attributes.fragment(names.CAPTURE_COMPLETE, False))
            parts.append(attributes.fragment(names.CAPTURE_INCOMPLETE_REASON, tuple(record.incomplete)))
        else:
            parts.append(self._complete)
        links: list[bytes] = []
        if record.response_ref is not None or record.request_ref is not None:
            self._add_payload(record, parts, links)
        elif record.refused and record.refused != _STORE_DISABLED:
            parts.append(attributes.fragment(names.PAYLOAD_STATUS, "dropped"))
            parts.append(attributes.fragment(names.PAYLOAD_DROP_REASON, record.refused))
        if identity.link is not None and self._may_link(record, identity.link):
            links.append(self._link(identity.link, [self._observed_kind], _OBSERVED_LINK_FLAGS))
        group = workload.groups.get(record.protocol) or self._workloads.group(workload, record.protocol)
        return group, parts, links

    def span(self, record: Record, description: Description) -> tuple[Group, bytes]:
        """Return the span, framed, of a record that was described; its fragments are taken over."""
        group, parts, links = description
        identity = record.identity
        span_id, parent_span_id, name = identity.span_id, identity.parent_span_id, record.name
        kind = record.kind
        otlp_kind = KIND_CLIENT if kind is _CLIENT else KIND_SERVER if kind is _SERVER else KIND_INTERNAL
        if identity.instrumentation:
            # Beside the process's own span, or for it: of a kind that no view of services counts.
            otlp_kind, name = KIND_INTERNAL, names.CAPTURE_SPAN
            span_id = identity.capture_span_id
            parent_span_id = b"" if span_id == identity.span_id else identity.span_id
        dropped_attributes = len(parts) - self._attribute_count
        if dropped_attributes > 0:
            del parts[self._attribute_count :]
        dropped_links = len(links) - self._link_count
        if dropped_links > 0:
            del links[self._link_count :]
        offset_ns = self._clock.offset_ns
        start_unix_ns = record.start_ns + offset_ns
        end_unix_ns = record.end_ns + offset_ns
        flags = FLAG_HAS_IS_REMOTE | identity.trace_flags & 0xFF
        return (
            group,
            span_message(
                trace_id=identity.trace_id,
                span_id=span_id,
                name=name,
                kind=otlp_kind,
                start_unix_ns=start_unix_ns,
                end_unix_ns=end_unix_ns if end_unix_ns > start_unix_ns else start_unix_ns,
                attributes=parts,
                flags=flags | FLAG_IS_REMOTE if identity.parent_is_remote else flags,
                parent_span_id=parent_span_id,
                trace_state=identity.trace_state,
                is_error=record.is_error,
                links=links,
                dropped_attributes=dropped_attributes if dropped_attributes > 0 else 0,
                dropped_links=dropped_links if dropped_links > 0 else 0,
            ),
        )

    def _add_payload(self, record: Record, parts: list[bytes], links: list[bytes]) -> None:
        """Add the references, the description of the main payload, and the link to its upload.

        The main payload is the response where there is one: requests are mostly small, and what the
        description says of them, the stored record says too.
        """
        request, response = record.request_ref, record.response_ref
        main = response or request
        assert main is not None
        fragment = self._attributes.fragment
        uri = self._uri(main.uri)
        sha256 = self._sha256(main.sha256)
        offset = self._offset(main.offset)
        length = self._length(main.length)
        if record.protocol == "http":
            if request is not None:
                parts.append(SPAN_ATTRIBUTES + self._request_reference(request.uri))
            if response is not None:
                parts.append(SPAN_ATTRIBUTES + self._response_reference(response.uri))
        parts += (
            SPAN_ATTRIBUTES + uri,
            self._request_part if response is None else self._response_part,
            self._pending,
            SPAN_ATTRIBUTES + self._size(main.size),
            SPAN_ATTRIBUTES + self._captured_size(main.captured_size),
            SPAN_ATTRIBUTES + sha256,
            SPAN_ATTRIBUTES + offset,
            SPAN_ATTRIBUTES + length,
        )
        if main.content_type:
            parts.append(fragment(names.PAYLOAD_CONTENT_TYPE, main.content_type))
        if main.encoding:
            parts.append(fragment(names.PAYLOAD_ENCODING, main.encoding))
        if main.truncated:
            parts.append(fragment(names.PAYLOAD_TRUNCATED, main.truncated))
        if main.redacted:
            parts.append(fragment(names.PAYLOAD_REDACTED, True))
        upload = record.upload
        if upload is not None and self._may_link(record, upload):
            described = [
                LINK_ATTRIBUTES + uri,
                LINK_ATTRIBUTES + offset,
                LINK_ATTRIBUTES + length,
                LINK_ATTRIBUTES + sha256,
                self._payload_kind,
            ]
            if main.content_type:
                described.append(
                    self._link_attributes.fragment(names.PAYLOAD_CONTENT_TYPE, main.content_type)
                )
            links.append(self._link(upload, described, _UPLOAD_LINK_FLAGS))

    def _may_link(self, record: Record, target: SpanTarget) -> bool:
        """Whether a link to ``target`` does good.

        Jaeger deletes links to an empty context with a warning on the span, and takes a link into the
        span's own trace for its parent.
        """
        trace_id, span_id = target.trace_id, target.span_id
        if (
            trace_id != record.identity.trace_id
            and len(trace_id) == 16
            and len(span_id) == 8
            and trace_id != _NO_TRACE
            and span_id != _NO_SPAN
        ):
            return True
        self.links_refused += 1
        return False

    def _link(self, target: SpanTarget, fragments: list[bytes], flags: int) -> bytes:
        limit = self._link_attribute_count
        return link_message(
            trace_id=target.trace_id,
            span_id=target.span_id,
            attributes=fragments[:limit],
            flags=flags,
            dropped_attributes=max(0, len(fragments) - limit),
        )

    def _remember(self, context: ConnectionContext) -> _Connection:
        workload = self._workloads.of(context.facts)
        attributes: Attributes = {
            **workload.attributes,
            names.PEER_SOURCE: context.peer_source.value,
            names.TLS_LIBRARY: context.tls_library,
        }
        if context.handshake is not None:
            attributes.update(span_attributes(context.handshake))
        if len(self._connections) >= _REMEMBERED_CONNECTIONS:
            self._connections.clear()
        connection = _Connection(context, workload, self._attributes.fragments(attributes))
        self._connections[context.id] = connection
        return connection
