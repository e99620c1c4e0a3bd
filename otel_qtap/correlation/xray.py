# SPDX-License-Identifier: Apache-2.0
"""AWS X-Ray: ``X-Amzn-Trace-Id: Root=1-<8 hex>-<24 hex>;Parent=<16 hex>;Sampled=0|1|?``.

Format: AWS X-Ray developer guide, "Tracing header". Other keys (Self, Lineage) are ignored.
"""

from collections.abc import Mapping

from otel_qtap.correlation.context import MALFORMED, ObservedContext, identifier

FIELDS = ("x-amzn-trace-id",)

_DECISIONS = {"1": True, "0": False, "?": None, "": None}


def read(fields: Mapping[str, str]) -> ObservedContext | None:
    """Read the field; a load balancer's Root without Parent names no span and gives None."""
    value = fields.get("x-amzn-trace-id")
    if value is None:
        return None
    root = parent = decision = ""
    for item in value.split(";"):
        key, _, content = item.strip().partition("=")
        if key == "Root":
            root = content
        elif key == "Parent":
            parent = content
        elif key == "Sampled":
            decision = content
    if len(root) != 35 or root[:2] != "1-" or root[10] != "-" or decision not in _DECISIONS:
        return MALFORMED
    trace_id = identifier(root[2:10] + root[11:], 16)
    if not trace_id:
        return MALFORMED
    if not parent:
        return None
    span_id = identifier(parent, 8)
    return ObservedContext(trace_id, span_id, _DECISIONS[decision]) if span_id else MALFORMED
