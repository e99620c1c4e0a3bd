# SPDX-License-Identifier: Apache-2.0
"""What telemetry may see: metadata and references. No payload byte can be named from here."""

from dataclasses import dataclass

from otel_qtap.model.classified import Finding
from otel_qtap.model.exchange import Attributes, Incomplete, SpanKind
from otel_qtap.model.identity import ConnectionContext
from otel_qtap.model.trace import SpanIdentity, SpanTarget


@dataclass(slots=True, kw_only=True)
class ObjectRef:
    """Where one stored message is and what it is.

    ``uri`` is ``<store URL>/<key>#bytes=first-last``: one gzip member that holds one WARC record.
    ``offset`` and ``length`` are that range in bytes. ``sha256`` is of the body as captured (hex).
    Not frozen, though nothing changes it: two are made per exchange, and freezing doubles what that costs.
    """

    uri: str
    offset: int
    length: int
    sha256: str
    size: int
    captured_size: int
    content_type: str
    encoding: str
    truncated: str
    redacted: bool


@dataclass(slots=True, kw_only=True)
class Record:
    """One exchange, ready to become a span."""

    identity: SpanIdentity
    connection: ConnectionContext
    protocol: str
    protocol_version: str
    kind: SpanKind
    name: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    error_type: str
    is_error: bool
    incomplete: tuple[Incomplete, ...]
    findings: tuple[Finding, ...]
    request_ref: ObjectRef | None = None
    response_ref: ObjectRef | None = None
    upload: SpanTarget | None = None
    """The span of the upload that carries both records; the span link points at it."""
    refused: str = ""
    """Why payloads were not stored (``qtap.payload.drop_reason``): ``disk_full``, ``store_disabled``..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentStored:
    """A segment reached the store. Times are CLOCK_BOOTTIME nanoseconds."""

    upload: SpanTarget
    uri: str
    key: str
    bucket: str
    size: int
    records: int
    start_ns: int
    end_ns: int
    request_id: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDropped:
    """A segment was given up; ``spans`` are the identities whose references now dangle."""

    upload: SpanTarget
    uri: str
    size: int
    reason: str
    start_ns: int
    end_ns: int
    spans: tuple[SpanTarget, ...]


UploadOutcome = SegmentStored | SegmentDropped
