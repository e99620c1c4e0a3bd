# SPDX-License-Identifier: Apache-2.0
"""W3C Trace Context level 2: ``traceparent`` and ``tracestate`` (https://www.w3.org/TR/trace-context-2/).

``version-traceid-parentid-flags``, lower-case hexadecimal of 2, 32, 16 and 2 digits. Version 00 is
exactly that; a higher version may go on after another ``-``; ff is invalid.
"""

import re
from collections.abc import Mapping

from otel_qtap.correlation.context import MALFORMED, ObservedContext

FIELDS = ("traceparent", "tracestate")

_LENGTH = 55
_BYTES = 26
_SAMPLED = 0x01
_RANDOM = 0x02
_ZERO_TRACE_ID = bytes(16)
_ZERO_SPAN_ID = bytes(8)

_MAX_MEMBERS = 32
# Section 3.3.1: key "=" value, white space allowed around a member; "," and "=" are no value characters.
_MEMBER = re.compile(
    r"[\t ]*([a-z0-9][a-z0-9_\-*/@]{0,255})="
    r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e][\t ]*"
)


def read(fields: Mapping[str, str]) -> ObservedContext | None:
    """Read ``traceparent`` and, where it is valid, ``tracestate``.

    Several ``traceparent`` fields arrive joined by a comma and are therefore malformed, as they should be.
    """
    value = fields.get("traceparent")
    if value is None:
        return None
    length = len(value)
    if length < _LENGTH or value[2] != "-" or value[35] != "-" or value[52] != "-":
        return MALFORMED
    digits = value[:_LENGTH].replace("-", "")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        return MALFORMED
    # Writing it back is the cheapest proof of lower case and of no white space; were there more
    # dashes, it would be shorter.
    if raw.hex() != digits or len(raw) != _BYTES:
        return MALFORMED
    version = raw[0]
    if length != _LENGTH and (version == 0 or value[55] != "-"):
        return MALFORMED
    trace_id = raw[1:17]
    span_id = raw[17:25]
    if version == 0xFF or trace_id == _ZERO_TRACE_ID or span_id == _ZERO_SPAN_ID:
        return MALFORMED
    flags = raw[25]
    state = fields.get("tracestate")
    return ObservedContext(
        trace_id,
        span_id,
        flags & _SAMPLED != 0,
        flags & _RANDOM != 0,
        state if state and _is_trace_state(state) else "",
    )


def _is_trace_state(value: str) -> bool:
    """Whether ``value`` is a list of at most 32 members with distinct keys; members may be empty."""
    members = value.split(",", _MAX_MEMBERS)
    if len(members) > _MAX_MEMBERS:
        return False
    keys = set()
    for member in members:
        if not member or member.isspace():
            continue
        match = _MEMBER.fullmatch(member)
        if match is None or match[1] in keys:
            return False
        keys.add(match[1])
    return bool(keys)
