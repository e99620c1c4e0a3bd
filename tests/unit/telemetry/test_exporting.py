# SPDX-License-Identifier: Apache-2.0
import io
import json
import subprocess
import sys
import time

import pytest

from otel_qtap.errors import ExportError
from otel_qtap.model.classified import Finding
from otel_qtap.model.exchange import Part
from otel_qtap.model.record import SegmentDropped, SegmentStored
from otel_qtap.model.trace import SpanIdentity
from otel_qtap.telemetry.exporting import Telemetry
from otel_qtap.telemetry.limits import AttributeLimits, BatchLimits, SpanLimits
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.otlp.sender import Backoff
from otel_qtap.telemetry.otlp.spool import MemorySpool
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.resource import AgentIdentity, HostIdentity
from otel_qtap.telemetry.signal_pipeline import MetricsOutput, SignalOutput

NOT_BY_TIME = BatchLimits(schedule_delay_ms=3_600_000)


@pytest.fixture
def telemetry_to(collector):
    opened = []

    def make(*, protocol="http/protobuf", **changes):
        def target(signal):
            return OtlpTarget(protocol=protocol, endpoint=collector.url(f"/v1/{signal}"))

        values = {
            "traces": SignalOutput(target=target("traces"), batch=NOT_BY_TIME),
            "logs": SignalOutput(target=target("logs"), batch=NOT_BY_TIME),
            "metrics": MetricsOutput(target=target("metrics"), interval_ms=3_600_000),
            "agent": AgentIdentity(service_name="my-agent", resource_attributes={"team": "platform"}),
            "host": HostIdentity(name="node-1", id="0123"),
            "backoff": Backoff(initial_seconds=0.01, maximum_seconds=0.05),
        }
        telemetry = Telemetry(**(values | changes))
        opened.append(telemetry)
        telemetry.start()
        return telemetry

    yield make
    for telemetry in opened:
        telemetry.shutdown(0.1)


def resource_of(entry):
    return {attribute.key: attribute.value.string_value for attribute in entry.resource.attributes}


def test_spans_belong_to_the_workload_and_never_to_the_agent(telemetry_to, collector, record):
    telemetry = telemetry_to()
    for _ in range(3):
        telemetry.write(record())

    assert telemetry.shutdown(10)

    [request] = collector.requests("/v1/traces")
    [entry] = request.resource_spans
    resource = resource_of(entry)
    assert resource["service.name"] == "orders"
    assert resource["host.name"] == "node-1"
    assert "team" not in resource
    assert entry.schema_url == "https://opentelemetry.io/schemas/1.44.0"
    [scope] = entry.scope_spans
    assert scope.scope.name == "otel_qtap.http"
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"
    assert [span.name for span in scope.spans] == ["GET"] * 3
    assert telemetry.statistics().signals[Signal.TRACES].exported == 3


def test_upload_is_the_span_that_links_point_at(telemetry_to, collector, record, object_ref, upload):
    telemetry = telemetry_to()
    telemetry.write(record(response_ref=object_ref(), upload=upload))
    telemetry.write_outcome(
        SegmentStored(
            upload=upload, uri="s3://b/k", key="k", bucket="b", size=10, records=1, start_ns=1, end_ns=2
        )
    )

    assert telemetry.shutdown(10)

    spans = {span.name: span for span in collector.spans()}
    [link] = spans["GET"].links
    assert (link.trace_id, link.span_id) == (spans["PutObject"].trace_id, spans["PutObject"].span_id)
    [event] = collector.log_records()
    assert (event.event_name, event.span_id) == ("qtap.payload.stored", link.span_id)
    agent = resource_of(collector.requests("/v1/logs")[0].resource_logs[0])
    assert (agent["service.name"], agent["team"]) == ("my-agent", "platform")


def test_dropped_upload_is_an_error_and_tells_every_span(telemetry_to, collector, upload):
    telemetry = telemetry_to()
    telemetry.write_outcome(
        SegmentDropped(
            upload=upload,
            uri="s3://b/k",
            size=10,
            reason="disk_full",
            start_ns=1,
            end_ns=2,
            spans=(upload, upload),
        )
    )
    assert telemetry.shutdown(10)
    assert [span.status.code for span in collector.spans()] == [2]
    assert [event.event_name for event in collector.log_records()] == ["qtap.payload.dropped"] * 2


def test_unsampled_exchange_is_counted_and_its_findings_are_told(telemetry_to, collector, record):
    telemetry = telemetry_to()
    identity = SpanIdentity(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, sampled=False, trace_flags=0)
    finding = Finding(classifier="cards", category="payment_card", part=Part.REQUEST, count=1)
    telemetry.write(record(identity=identity, findings=(finding,)))
    assert telemetry.shutdown(10)
    assert collector.spans() == []
    assert [event.event_name for event in collector.log_records()] == ["qtap.sensitive_data.found"]
    assert telemetry.statistics().spans_unsampled == telemetry.settled_spans == 1


@pytest.mark.parametrize("capture_span_id", [b"", b"capture!"])
def test_where_the_process_makes_the_span_an_event_takes_its_place(
    telemetry_to, collector, record, object_ref, upload, capture_span_id
):
    telemetry = telemetry_to()
    identity = SpanIdentity(
        trace_id=b"\x01" * 16,
        span_id=b"\x02" * 8,
        instrumentation="java_agent",
        capture_span_id=capture_span_id,
    )
    telemetry.write(record(identity=identity, response_ref=object_ref(), upload=upload))
    assert telemetry.shutdown(5)

    [event] = collector.log_records()
    assert (event.event_name, event.span_id) == ("qtap.payload.captured", b"\x02" * 8)
    told = {one.key: one.value for one in event.attributes}
    assert told["http.response.body.content_ref"].string_value == object_ref().uri
    assert told["qtap.capture.complete"].bool_value
    shown = [(span.name, span.span_id, span.parent_span_id) for span in collector.spans()]
    assert shown == ([("qtap.capture", capture_span_id, b"\x02" * 8)] if capture_span_id else [])
    assert telemetry.settled_spans == 1


def test_event_and_span_of_a_captured_exchange_have_each_its_own_limits(telemetry_to, collector, record):
    telemetry = telemetry_to(
        span_limits=SpanLimits(attributes=AttributeLimits(count=3, value_length=5)),
        log_limits=AttributeLimits(count=2, value_length=2),
    )
    identity = SpanIdentity(
        trace_id=b"\x01" * 16, span_id=b"\x02" * 8, instrumentation="x", capture_span_id=b"capture!"
    )
    telemetry.write(record(identity=identity, attributes={"url.path": "/orders"}))
    assert telemetry.shutdown(5)

    [event], [span] = collector.log_records(), collector.spans()
    assert (len(event.attributes), len(span.attributes)) == (2, 3)
    assert event.attributes[0].value.string_value == "/o"
    assert span.attributes[0].value.string_value == "/orde"


def test_connection_events_and_losses(telemetry_to, collector, connection):
    telemetry = telemetry_to()
    telemetry.handshake(connection(), 1, 2)
    telemetry.connection_closed(connection(), 3, "ssl_free", 10, 20)
    telemetry.lost("ring_full", 4)
    assert telemetry.flush(10)
    assert sorted(event.event_name for event in collector.log_records()) == [
        "qtap.capture.lost",
        "qtap.connection.closed",
        "qtap.tls.handshake",
    ]


def test_metrics_of_rooms_and_of_telemetry_itself(telemetry_to, collector, record):
    telemetry = telemetry_to(
        metrics=MetricsOutput(
            target=OtlpTarget(protocol="http/protobuf", endpoint=collector.url("/v1/metrics")),
            interval_ms=3_600_000,
        )
    )
    telemetry.write(record())
    assert telemetry.flush(10)
    assert telemetry.shutdown(10)
    told = {
        metric.name: metric
        for request in collector.requests("/v1/metrics")
        for entry in request.resource_metrics
        for metric in entry.scope_metrics[0].metrics
    }
    [queue] = [
        point
        for point in told["otel.sdk.processor.span.processed"].sum.data_points
        if not [one for one in point.attributes if one.key == "error.type"]
    ]
    assert queue.as_int == 1
    assert told["otel.sdk.exporter.operation.duration"].histogram.data_points
    entry = collector.requests("/v1/metrics")[0].resource_metrics[0]
    assert resource_of(entry)["service.name"] == "my-agent"


def test_openmetrics_page_shows_what_the_agent_registered(telemetry_to):
    telemetry = telemetry_to()
    telemetry.observables.register("qtap.stream.late", lambda: [(11, {})])
    assert "qtap_stream_late_total 11\n" in telemetry.openmetrics()


def test_health_follows_the_collector(telemetry_to, collector, record):
    telemetry = telemetry_to()
    assert telemetry.is_running
    assert telemetry.healthy
    collector.decide = lambda _: (503, {}, b"")
    telemetry.write(record())
    assert not telemetry.flush(0.2)
    assert not telemetry.healthy
    assert telemetry.statistics().signals[Signal.TRACES].last_error == "503"
    collector.decide = None
    assert telemetry.flush(10)
    assert telemetry.healthy
    telemetry.shutdown(10)
    assert not telemetry.is_running


def test_json_over_http(telemetry_to, collector, record):
    telemetry = telemetry_to(protocol="http/json")
    identity = SpanIdentity(trace_id=b"\xab" * 16, span_id=b"\xcd" * 8)
    telemetry.write(record(identity=identity))
    assert telemetry.shutdown(10)
    [body] = [json.loads(body) for path, _, body in collector.received if path == "/v1/traces"]
    [span] = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["spanId"], span["kind"]) == ("ab" * 16, "cd" * 8, 3)


def test_console_prints_a_line_per_item(telemetry_to, record, connection):
    stream = io.StringIO()
    telemetry = telemetry_to(
        traces=SignalOutput(exporter="console", batch=NOT_BY_TIME),
        logs=SignalOutput(exporter="console", batch=NOT_BY_TIME),
        metrics=MetricsOutput(exporter="console"),
        stream=stream,
    )
    telemetry.write(record())
    telemetry.handshake(connection(), 1, 2)
    assert telemetry.shutdown(10)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    names = {line.get("eventName") or line["name"] for line in lines}
    assert {"GET", "qtap.tls.handshake", "otel.sdk.processor.span.processed"} <= names


def test_none_exports_nothing(telemetry_to, collector, record, connection, upload):
    nothing = SignalOutput(exporter="none")
    telemetry = telemetry_to(traces=nothing, logs=nothing, metrics=MetricsOutput(exporter="none"))
    telemetry.write(record())
    telemetry.handshake(connection(), 1, 2)
    telemetry.write_outcome(
        SegmentStored(
            upload=upload, uri="s3://b/k", key="k", bucket="b", size=1, records=1, start_ns=1, end_ns=2
        )
    )
    telemetry.lost("ring_full", 1)
    assert telemetry.shutdown(1)
    assert collector.received == []
    assert dict(telemetry.statistics().signals) == {}
    assert telemetry.settled_spans is None
    assert telemetry.is_running
    assert telemetry.healthy


def test_limits_reach_spans_and_log_records(telemetry_to, collector, record, connection):
    telemetry = telemetry_to(
        span_limits=SpanLimits(attributes=AttributeLimits(count=2)), log_limits=AttributeLimits(count=1)
    )
    telemetry.write(record())
    telemetry.handshake(connection(), 1, 2)
    assert telemetry.shutdown(10)
    assert [len(span.attributes) for span in collector.spans()] == [2]
    assert [len(event.attributes) for event in collector.log_records()] == [1]


def test_shutdown_without_a_collector_ends_at_its_deadline(telemetry_to, collector, record):
    telemetry = telemetry_to()
    collector.decide = lambda _: (503, {}, b"")
    telemetry.write(record())
    began = time.monotonic()
    assert not telemetry.shutdown(0.3)
    assert time.monotonic() - began < 5
    assert dict(telemetry.statistics().signals[Signal.TRACES].dropped) == {"shutdown": 1}


def test_requests_wait_in_the_spool_that_was_asked_for(telemetry_to, collector, record):
    spools = {}

    def new_spool(signal):
        spools[signal] = MemorySpool(max_bytes=1)
        return spools[signal]

    telemetry = telemetry_to(new_spool=new_spool)
    collector.decide = lambda _: (503, {}, b"")
    for _ in range(3):
        telemetry.write(record())
        telemetry.flush(0)
    assert set(spools) == set(Signal)
    assert spools[Signal.TRACES].waiting_items >= 1


def test_unusable_target_is_refused_at_construction(telemetry_to):
    target = OtlpTarget(protocol="http/protobuf", endpoint="https://h/v1/traces", ca_certificate=b"none")
    with pytest.raises(ExportError, match="traces"):
        telemetry_to(traces=SignalOutput(target=target))


def test_protobuf_over_http_needs_neither_sdk_nor_grpc_nor_protobuf_runtime():
    program = """
import sys
from otel_qtap.telemetry.exporting import Telemetry
from otel_qtap.telemetry.resource import AgentIdentity, HostIdentity
from otel_qtap.telemetry.otlp.spool import MemorySpool
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.signal_pipeline import MetricsOutput, SignalOutput
output = SignalOutput(target=OtlpTarget(protocol="http/protobuf", endpoint="http://127.0.0.1:1/v1/traces"))
telemetry = Telemetry(traces=output, logs=output, metrics=MetricsOutput(exporter="none"),
                      agent=AgentIdentity(), host=HostIdentity())
telemetry.start()
telemetry.shutdown(0)
heavy = ("opentelemetry", "grpc", "google.protobuf")
print([name for name in sys.modules if name.startswith(heavy)])
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
