# SPDX-License-Identifier: Apache-2.0
"""One Span (opentelemetry/proto/trace/v1/trace.proto), framed as ScopeSpans.spans."""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from otel_qtap.telemetry.otlp.wire import SMALL_VARINTS, delimited, utf8, varint

KIND_INTERNAL: Final = 1
KIND_SERVER: Final = 2
KIND_CLIENT: Final = 3

FLAG_SAMPLED: Final = 0x01
FLAG_HAS_IS_REMOTE: Final = 0x100
FLAG_IS_REMOTE: Final = 0x200

# Tags of the fields with a fixed place in every span, packed together with their values.
_KIND_AND_TIMES = Struct("<cBcQcQ")
_FLAGS = Struct("<2sI")
_LINK_FLAGS = Struct("<cI")
_STATUS_ERROR = b"\x7a\x02\x18\x02"
_CACHED_NAMES = 1024
_names: dict[str, bytes] = {}


def _name(name: str) -> bytes:
    encoded = _names.get(name)
    if encoded is None:
        if len(_names) >= _CACHED_NAMES:
            _names.clear()
        encoded = _names[name] = delimited(b"\x2a", utf8(name))
    return encoded


def span_message(
    *,
    trace_id: bytes,
    span_id: bytes,
    name: str,
    kind: int,
    start_unix_ns: int,
    end_unix_ns: int,
    attributes: Sequence[bytes],
    flags: int,
    parent_span_id: bytes = b"",
    trace_state: str = "",
    is_error: bool = False,
    links: Sequence[bytes] = (),
    dropped_attributes: int = 0,
    dropped_links: int = 0,
) -> bytes:
    """Return one framed Span.

    ``attributes`` and ``links`` are framed already (``SPAN_ATTRIBUTES`` fragments, ``link_message``).
    ``flags`` holds the W3C trace flags in its low byte and the FLAG_* bits about the parent.
    Status is Error without description, or unset: Ok is for applications to set.
    """
    parts = [b"\x0a\x10", trace_id, b"\x12\x08", span_id]
    if trace_state:
        parts.append(delimited(b"\x1a", utf8(trace_state)))
    if parent_span_id:
        parts += (b"\x22\x08", parent_span_id)
    parts += (
        _name(name),
        _KIND_AND_TIMES.pack(b"\x30", kind, b"\x39", start_unix_ns, b"\x41", end_unix_ns),
        *attributes,
    )
    if dropped_attributes:
        parts += (b"\x50", varint(dropped_attributes))
    parts += links
    if dropped_links:
        parts += (b"\x70", varint(dropped_links))
    if is_error:
        parts.append(_STATUS_ERROR)
    parts.append(_FLAGS.pack(b"\x85\x01", flags))
    body = b"".join(parts)
    size = len(body)
    return b"\x12%b%b" % (SMALL_VARINTS[size] if size < 2048 else varint(size), body)


def link_message(
    *,
    trace_id: bytes,
    span_id: bytes,
    attributes: Sequence[bytes],
    flags: int,
    dropped_attributes: int = 0,
) -> bytes:
    """Return one framed Span.Link; ``attributes`` are framed ``LINK_ATTRIBUTES`` fragments."""
    parts = [b"\x0a\x10", trace_id, b"\x12\x08", span_id, *attributes]
    if dropped_attributes:
        parts += (b"\x28", varint(dropped_attributes))
    parts.append(_LINK_FLAGS.pack(b"\x35", flags))
    body = b"".join(parts)
    return delimited(b"\x6a", body)
