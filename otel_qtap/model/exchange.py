# SPDX-License-Identifier: Apache-2.0
"""One request and its response, raw. Only classification reads the payloads of an Exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from otel_qtap.model.identity import ConnectionContext

AttributeValue = str | int | float | bool | tuple[str, ...]
"""What an attribute may hold; the value types of OTLP that this agent uses."""

Attributes = dict[str, AttributeValue]


class SpanKind(StrEnum):
    """Which side of the exchange was observed."""

    CLIENT = "client"
    SERVER = "server"
    INTERNAL = "internal"


class Part(StrEnum):
    """Which half of an exchange a payload is."""

    REQUEST = "request"
    RESPONSE = "response"


class Incomplete(StrEnum):
    """Why an exchange is not known in full (values of ``qtap.capture.incomplete_reason``)."""

    GAP = "gap"
    TRUNCATED = "truncated"
    ATTACHED_MIDSTREAM = "attached_midstream"
    REQUEST_NOT_SEEN = "request_not_seen"
    RESPONSE_NOT_SEEN = "response_not_seen"
    CONNECTION_ENDED = "connection_ended"
    MALFORMED = "malformed"


@dataclass(slots=True, kw_only=True)
class Payload:
    """One message as the application saw it.

    ``head`` and ``tail`` are protocol framing with its fields (HTTP/1: start line and fields with
    their blank line; trailer fields), ``body`` the content between them with transfer framing
    removed and content coding kept. ``size`` counts the content on the wire, so
    ``len(body) < size`` when it was cut.
    """

    part: Part
    record_type: str
    """WARC content type of the stored record, e.g. ``application/http; msgtype=request``."""
    head: bytes
    body: bytes
    tail: bytes = b""
    size: int
    media_type: str = ""
    """Lower-case media type without parameters, e.g. ``application/json``."""
    encoding: str = ""
    """Content coding, e.g. ``gzip``."""
    chunked: bool = False
    """The message used HTTP/1 chunked framing; the store restores it as one chunk."""
    truncated: str = ""
    """Empty, or why ``body`` was cut: ``length`` (the user's limit), ``gap`` (bytes lost) or
    ``disconnect`` (the connection ended first)."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request/response exchange of any protocol. Times are CLOCK_BOOTTIME nanoseconds.

    ``attributes`` are span attributes by semantic conventions, already fit to leave the process:
    URLs scrubbed, headers by allow-list.
    """

    connection: ConnectionContext
    protocol: str
    """Short name, also the last part of the instrumentation scope: ``http``."""
    protocol_version: str
    kind: SpanKind
    name: str
    """Span name by the low-cardinality rule of the protocol's conventions."""
    start_ns: int
    end_ns: int
    attributes: Attributes
    request: Payload | None
    response: Payload | None
    error_type: str = ""
    """Value of ``error.type``; empty when the exchange did not fail."""
    is_error: bool = False
    """Whether the span status is Error."""
    incomplete: tuple[Incomplete, ...] = ()
    propagation: Mapping[str, str] = field(default_factory=dict)
    """Trace propagation fields seen on the wire, lower-case names: traceparent, b3, ..."""
    request_offset: int = -1
    """Stream offset of the request's first byte, -1 where it is not known for certain. It counts from the
    handshake where the connection's do (``ConnectionContext.from_handshake``)."""
