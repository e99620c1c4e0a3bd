# SPDX-License-Identifier: Apache-2.0
"""By the OTLP specification, "JSON Protobuf Encoding"."""

import json

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from otel_qtap.telemetry.otlp.json_form import to_json
from otel_qtap.telemetry.otlp.requests import Signal


def test_span():
    span = Span(
        trace_id=bytes.fromhex("5b8efff798038103d269b633813fc60c"),
        span_id=bytes.fromhex("eee19b7ec3c1b174"),
        parent_span_id=bytes.fromhex("eee19b7ec3c1b173"),
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=1544712660000000000,
        attributes=[KeyValue(key="traceId", value=AnyValue(string_value="not an id"))],
        links=[Span.Link(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)],
        status=Status(code=Status.STATUS_CODE_ERROR),
    )
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])]
    )
    body = json.loads(to_json(Signal.TRACES, request.SerializeToString()))
    assert body["resourceSpans"][0]["scopeSpans"][0]["spans"] == [
        {
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": "eee19b7ec3c1b174",
            "parentSpanId": "eee19b7ec3c1b173",
            "kind": 2,
            "startTimeUnixNano": "1544712660000000000",
            "attributes": [{"key": "traceId", "value": {"stringValue": "not an id"}}],
            "links": [{"traceId": "01" * 16, "spanId": "02" * 8}],
            "status": {"code": 2},
        }
    ]


def test_log_record():
    record = LogRecord(trace_id=b"\xff" * 16, span_id=b"\xee" * 8, severity_number=9, event_name="e")
    request = ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[record])])]
    )
    body = json.loads(to_json(Signal.LOGS, request.SerializeToString()))
    assert body["resourceLogs"][0]["scopeLogs"][0]["logRecords"] == [
        {"traceId": "ff" * 16, "spanId": "ee" * 8, "severityNumber": 9, "eventName": "e"}
    ]


def test_metric_with_exemplar():
    point = NumberDataPoint(as_int=7, exemplars=[Exemplar(trace_id=b"\x0a" * 16, span_id=b"\x0b" * 8)])
    metric = Metric(name="m", sum=Sum(data_points=[point], aggregation_temporality=2))
    request = ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=[metric])])]
    )
    body = json.loads(to_json(Signal.METRICS, request.SerializeToString()))
    [shown] = body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    assert shown["sum"]["aggregationTemporality"] == 2
    assert shown["sum"]["dataPoints"] == [
        {"asInt": "7", "exemplars": [{"traceId": "0a" * 16, "spanId": "0b" * 8}]}
    ]
