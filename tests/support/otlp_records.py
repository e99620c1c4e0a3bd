# SPDX-License-Identifier: Apache-2.0
"""Spans, log records and metric points as tests read them, from OTLP/JSON or protobuf requests."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

Json = dict[str, Any]

_ID_FIELDS = frozenset({"traceId", "spanId", "parentSpanId"})
_KINDS = {0: "unspecified", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUSES = {0: "unset", 1: "ok", 2: "error"}


@dataclass(frozen=True, slots=True)
class Scope:
    """Instrumentation scope with its schema URL."""

    name: str
    version: str
    schema_url: str


@dataclass(frozen=True, slots=True)
class Link:
    """A span link; ids in hex."""

    trace_id: str
    span_id: str
    attributes: Json


@dataclass(frozen=True, slots=True)
class Span:
    """A span; ids in hex, times in unix nanoseconds, kind and status in lower-case words."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_span_id: str
    trace_state: str
    flags: int
    start: int
    end: int
    attributes: Json
    links: tuple[Link, ...]
    status: str
    resource: Json
    scope: Scope

    @property
    def port(self) -> int:
        """``server.port``, by which tests tell their own traffic from anybody else's; 0 if absent."""
        return int(self.attributes.get("server.port", 0))

    def body_reference(self, part: str) -> str:
        """URI of the stored ``request`` or ``response``."""
        uri: str = self.attributes[f"http.{part}.body.content_ref"]
        return uri


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A log record or event; ids in hex, empty when absent."""

    event_name: str
    severity: int
    body: Any
    trace_id: str
    span_id: str
    attributes: Json
    resource: Json
    scope: Scope


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One point; ``value`` is the number, or the count of a histogram."""

    name: str
    kind: str
    unit: str
    value: float
    attributes: Json
    resource: Json
    scope: Scope


@dataclass(slots=True)
class Telemetry:
    """Everything that a receiver got."""

    spans: list[Span] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)
    points: list[MetricPoint] = field(default_factory=list)

    def on_port(self, port: int, kind: str | None = None) -> list[Span]:
        """Spans with that ``server.port`` (and kind), oldest first."""
        chosen = [s for s in self.spans if s.port == port and kind in (None, s.kind)]
        return sorted(chosen, key=lambda span: span.start)

    def events(self, name: str) -> list[LogRecord]:
        """Log records of that event name."""
        return [record for record in self.logs if record.event_name == name]

    def add(self, request: Json) -> None:
        """Take in one export request in OTLP/JSON form."""
        self.spans.extend(_spans(request))
        self.logs.extend(_logs(request))
        self.points.extend(_points(request))


def otlp_json(message: Message) -> Json:
    """An OTLP protobuf message in OTLP/JSON form (ids in hex, enums as numbers)."""
    plain = MessageToDict(message, use_integers_for_enums=True)
    _hex_ids(plain)
    return plain


def _spans(request: Json) -> Iterator[Span]:
    for group in request.get("resourceSpans", ()):
        resource = _attributes(group.get("resource", {}))
        for scoped in group.get("scopeSpans", ()):
            scope = _scope(scoped)
            for span in scoped.get("spans", ()):
                yield Span(
                    name=span.get("name", ""),
                    kind=_KINDS[int(span.get("kind", 0))],
                    trace_id=span.get("traceId", ""),
                    span_id=span.get("spanId", ""),
                    parent_span_id=span.get("parentSpanId", ""),
                    trace_state=span.get("traceState", ""),
                    flags=int(span.get("flags", 0)),
                    start=int(span.get("startTimeUnixNano", 0)),
                    end=int(span.get("endTimeUnixNano", 0)),
                    attributes=_attributes(span),
                    links=tuple(
                        Link(link.get("traceId", ""), link.get("spanId", ""), _attributes(link))
                        for link in span.get("links", ())
                    ),
                    status=_STATUSES[int(span.get("status", {}).get("code", 0))],
                    resource=resource,
                    scope=scope,
                )


def _logs(request: Json) -> Iterator[LogRecord]:
    for group in request.get("resourceLogs", ()):
        resource = _attributes(group.get("resource", {}))
        for scoped in group.get("scopeLogs", ()):
            scope = _scope(scoped)
            for record in scoped.get("logRecords", ()):
                yield LogRecord(
                    event_name=record.get("eventName", ""),
                    severity=int(record.get("severityNumber", 0)),
                    body=_value(record.get("body", {})),
                    trace_id=record.get("traceId", ""),
                    span_id=record.get("spanId", ""),
                    attributes=_attributes(record),
                    resource=resource,
                    scope=scope,
                )


def _points(request: Json) -> Iterator[MetricPoint]:
    for group in request.get("resourceMetrics", ()):
        resource = _attributes(group.get("resource", {}))
        for scoped in group.get("scopeMetrics", ()):
            scope = _scope(scoped)
            for metric in scoped.get("metrics", ()):
                for kind in ("gauge", "sum", "histogram", "exponentialHistogram"):
                    for point in metric.get(kind, {}).get("dataPoints", ()):
                        yield MetricPoint(
                            name=metric["name"],
                            kind=kind,
                            unit=metric.get("unit", ""),
                            value=float(point.get("asInt", point.get("asDouble", point.get("count", 0)))),
                            attributes=_attributes(point),
                            resource=resource,
                            scope=scope,
                        )


def _scope(scoped: Json) -> Scope:
    scope = scoped.get("scope", {})
    return Scope(scope.get("name", ""), scope.get("version", ""), scoped.get("schemaUrl", ""))


def _attributes(holder: Json) -> Json:
    return {pair["key"]: _value(pair.get("value", {})) for pair in holder.get("attributes", ())}


def _value(value: Json) -> Any:
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(item) for item in value["arrayValue"].get("values", ())]
    if "kvlistValue" in value:
        return {pair["key"]: _value(pair["value"]) for pair in value["kvlistValue"].get("values", ())}
    return next(iter(value.values()), None)


def _hex_ids(node: Any) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in _ID_FIELDS and isinstance(value, str):
                node[key] = base64.b64decode(value).hex()
            else:
                _hex_ids(value)
    elif isinstance(node, list):
        for value in node:
            _hex_ids(value)
