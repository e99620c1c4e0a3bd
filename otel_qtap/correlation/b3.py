# SPDX-License-Identifier: Apache-2.0
"""B3 propagation, single and multiple fields (https://github.com/openzipkin/b3-propagation).

Both OTEL_PROPAGATORS names, ``b3`` and ``b3multi``, read both forms, the single field first
(OpenTelemetry specification, context/api-propagators, "B3 Requirements").
"""

from collections.abc import Mapping

from otel_qtap.correlation.context import MALFORMED, ObservedContext, identifier

FIELDS = ("b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags")

_DECISIONS = {"1": True, "d": True, "0": False}
_MULTI_DECISIONS = {"1": True, "true": True, "0": False, "false": False}


def read(fields: Mapping[str, str]) -> ObservedContext | None:
    """Read ``b3``, or else ``x-b3-*``; a malformed single field does not hide a valid multiple form."""
    single = fields.get("b3")
    context = _read_single(single) if single is not None else None
    if context is None or context is MALFORMED:
        return _read_multiple(fields) or context
    return context


def _read_single(value: str) -> ObservedContext | None:
    """``traceid-spanid[-decision[-parentspanid]]``; a decision alone carries no context."""
    if value in _DECISIONS:
        return None
    parts = value.split("-", 4)
    if not 2 <= len(parts) <= 4:
        return MALFORMED
    sampled = None
    if len(parts) > 2:
        sampled = _DECISIONS.get(parts[2])
        if sampled is None or (len(parts) == 4 and not identifier(parts[3], 8)):
            return MALFORMED
    return _context(parts[0], parts[1], sampled)


def _read_multiple(fields: Mapping[str, str]) -> ObservedContext | None:
    trace_id = fields.get("x-b3-traceid")
    span_id = fields.get("x-b3-spanid")
    if trace_id is None or span_id is None:
        # A decision without ids is legal; half a pair of ids is not.
        return None if trace_id is span_id else MALFORMED
    if fields.get("x-b3-flags") == "1":
        return _context(trace_id, span_id, True)
    decision = fields.get("x-b3-sampled")
    sampled = None
    if decision is not None:
        sampled = _MULTI_DECISIONS.get(decision.lower())
        if sampled is None:
            return MALFORMED
    return _context(trace_id, span_id, sampled)


def _context(trace_text: str, span_text: str, sampled: bool | None) -> ObservedContext:
    """64-bit trace ids are padded on the left to 128."""
    trace_id = identifier(trace_text.rjust(32, "0") if len(trace_text) == 16 else trace_text, 16)
    span_id = identifier(span_text, 8)
    return ObservedContext(trace_id, span_id, sampled) if trace_id and span_id else MALFORMED
