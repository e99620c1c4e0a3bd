# SPDX-License-Identifier: Apache-2.0
"""One LogRecord (opentelemetry/proto/logs/v1/logs.proto), framed as ScopeLogs.log_records.

An event is a log record whose EventName is set; by convention it has neither body nor severity text.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from otel_qtap.telemetry.otlp.wire import delimited, utf8, varint

SEVERITY_INFO: Final = 9
SEVERITY_WARN: Final = 13

_FLAGS = Struct("<cI")
_FIXED64 = Struct("<cQ")


def log_message(
    *,
    event_name: str,
    severity_number: int,
    time_unix_ns: int,
    observed_unix_ns: int,
    attributes: Sequence[bytes],
    trace_id: bytes = b"",
    span_id: bytes = b"",
    trace_flags: int = 0,
    dropped_attributes: int = 0,
) -> bytes:
    """Return one framed LogRecord; ``attributes`` are framed ``LOG_ATTRIBUTES`` fragments."""
    parts = [
        _FIXED64.pack(b"\x09", time_unix_ns),
        b"\x10" + varint(severity_number),
        *attributes,
    ]
    if dropped_attributes:
        parts.append(b"\x38" + varint(dropped_attributes))
    if trace_id:
        parts += (_FLAGS.pack(b"\x45", trace_flags), b"\x4a\x10", trace_id, b"\x52\x08", span_id)
    parts += (_FIXED64.pack(b"\x59", observed_unix_ns), delimited(b"\x62", utf8(event_name)))
    return delimited(b"\x12", b"".join(parts))
