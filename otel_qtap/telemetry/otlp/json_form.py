# SPDX-License-Identifier: Apache-2.0
"""OTLP/JSON from encoded requests (OTLP specification, "JSON Protobuf Encoding"). Off the hot path.

It is proto3 JSON, except that trace and span ids are hexadecimal and enums are numbers.
"""

import json
from base64 import b64decode
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_qtap.telemetry.otlp.requests import Signal

_REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_ID_FIELDS: Final = ("traceId", "spanId", "parentSpanId")


def to_objects(signal: Signal, body: bytes) -> dict[str, Any]:
    """Return an encoded request as the objects that its JSON form shows."""
    request = _REQUESTS[signal].FromString(body)
    objects: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    _write_ids_in_hex(objects)
    return objects


def to_json(signal: Signal, body: bytes) -> bytes:
    """Return the OTLP/JSON form of an encoded request."""
    return json.dumps(to_objects(signal, body), separators=(",", ":")).encode()


def _write_ids_in_hex(node: Any) -> None:
    # Attributes are lists of {"key": ..., "value": ...}: a key called traceId is never one of theirs.
    if isinstance(node, dict):
        for name in _ID_FIELDS:
            if name in node:
                node[name] = b64decode(node[name]).hex()
        for child in node.values():
            _write_ids_in_hex(child)
    elif isinstance(node, list):
        for child in node:
            _write_ids_in_hex(child)
