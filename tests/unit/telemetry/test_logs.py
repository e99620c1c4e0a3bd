# SPDX-License-Identifier: Apache-2.0
import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from otel_qtap.handshake.facts import summary_of
from otel_qtap.model.classified import Finding
from otel_qtap.model.exchange import Part
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import Role
from otel_qtap.model.record import SegmentDropped, SegmentStored
from otel_qtap.model.trace import SpanIdentity, SpanTarget
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.limits import AttributeLimits
from otel_qtap.telemetry.logs import LogEncoder
from otel_qtap.telemetry.otlp.attributes import SPAN_ATTRIBUTES, AttributeEncoder
from otel_qtap.telemetry.otlp.requests import Group
from otel_qtap.telemetry.resource import HostIdentity
from otel_qtap.telemetry.workloads import Workloads

OFFSET = 1_700_000_000_000_000_000
AGENT = Group(b"agent", b"", "")
INFO, WARN = 9, 13


@pytest.fixture
def events():
    return encoder()


def encoder(limits=None):
    clock = UnixClock(boottime_ns=lambda: 0, unix_ns=lambda: OFFSET)
    return LogEncoder(
        limits=limits or AttributeLimits(),
        workloads=Workloads(HostIdentity(), clock),
        agent=AGENT,
        clock=clock,
    )


def parsed(message):
    [record] = ScopeLogs.FromString(message).log_records
    assert not record.severity_text
    assert not record.HasField("body")
    assert record.observed_time_unix_nano == OFFSET
    return record


def attributes(record):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in record.attributes}


def test_handshake(events, connection):
    group, message = events.handshake(connection(), 1_000_000_000, 1_250_000_000)
    record = parsed(message)
    assert b"orders" in group.resource
    assert b"otel_qtap.tls" in group.scope
    assert (record.event_name, record.severity_number) == ("qtap.tls.handshake", INFO)
    assert record.time_unix_nano == OFFSET + 1_250_000_000
    assert (record.trace_id, record.span_id) == (b"", b"")
    assert attributes(record) == {
        "process.pid": 1234,
        "process.creation.time": "2023-11-14T22:13:20.00Z",
        "process.command": "python3",
        "process.executable.name": "python3.11",
        "process.executable.path": "/usr/bin/python3.11",
        "process.user.id": 1000,
        "process.user.name": "app",
        "network.peer.address": "10.0.0.2",
        "network.peer.port": 443,
        "network.local.address": "10.0.0.1",
        "network.local.port": 41234,
        "qtap.capture.side": "client",
        "qtap.peer.source": "nested_syscall",
        "qtap.tls.library": "openssl",
        "qtap.tls.handshake.duration": 0.25,
        "tls.established": True,
    }
    assert b"hunter2" not in message + group.resource


def test_handshake_tells_what_was_in_clear(events, connection):
    facts = HandshakeFacts(version="1.3", server_name="shop.example", offered_ciphers=("A", "B"))
    _, message = events.handshake(connection(handshake=summary_of(facts)), None, 7, facts)
    told = attributes(parsed(message))
    assert "qtap.tls.handshake.duration" not in told
    assert (told["tls.established"], told["tls.protocol.version"]) == (True, "1.3")
    assert told["server.address"] == told["qtap.tls.client.server_name"] == "shop.example"
    assert [one.string_value for one in told["tls.client.supported_ciphers"].values] == ["A", "B"]


def test_connection_closed(events, connection):
    context = connection(role=Role.UNKNOWN, local=None, remote=None)
    _, message = events.connection_closed(context, 7, "ssl_free", 1000, 2000)
    record = parsed(message)
    assert (record.event_name, record.severity_number) == ("qtap.connection.closed", INFO)
    told = attributes(record)
    assert told["qtap.connection.close_reason"] == "ssl_free"
    assert told["qtap.connection.egress.bytes"] == 1000
    assert told["qtap.connection.ingress.bytes"] == 2000
    assert not [key for key in told if key.startswith("network.")]
    assert "qtap.capture.side" not in told


def test_findings_stand_in_the_trace_of_their_exchange(events, record):
    identity = SpanIdentity(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, trace_flags=1)
    findings = (
        Finding(classifier="cards", category="payment_card", part=Part.REQUEST, count=2),
        Finding(classifier="secrets", category="api_key", part=Part.RESPONSE, count=1),
    )
    told = [parsed(message) for _, message in events.findings(record(identity=identity, findings=findings))]
    assert {one.event_name for one in told} == {"qtap.sensitive_data.found"}
    assert {(one.trace_id, one.span_id, one.flags) for one in told} == {(b"\x01" * 16, b"\x02" * 8, 1)}
    assert {one.severity_number for one in told} == {WARN}
    assert attributes(told[0]) == {
        "qtap.finding.classifier": "cards",
        "qtap.finding.category": "payment_card",
        "qtap.finding.count": 2,
        "qtap.payload.part": "request",
    }


def test_stored_segment_is_told_in_the_trace_of_its_upload(events, upload):
    outcome = SegmentStored(
        upload=upload, uri="s3://b/k", key="k", bucket="b", size=10, records=3, start_ns=1, end_ns=2
    )
    group, message = events.stored(outcome)
    record = parsed(message)
    assert group is AGENT
    assert (record.event_name, record.severity_number) == ("qtap.payload.stored", INFO)
    assert (record.trace_id, record.span_id) == (upload.trace_id, upload.span_id)
    assert record.time_unix_nano == OFFSET + 2
    assert attributes(record) == {
        "qtap.payload.uri": "s3://b/k",
        "qtap.payload.size": 10,
        "qtap.payload.records": 3,
        "qtap.payload.status": "stored",
    }


def test_dropped_segment_is_told_to_every_span_that_refers_to_it(events, upload):
    spans = tuple(SpanTarget(trace_id=bytes([n]) * 16, span_id=bytes([n]) * 8) for n in (1, 2, 3))
    outcome = SegmentDropped(
        upload=upload, uri="s3://b/k", size=10, reason="disk_full", start_ns=1, end_ns=2, spans=spans
    )
    told = [parsed(message) for _, message in events.dropped(outcome)]
    assert [(one.trace_id, one.span_id) for one in told] == [(s.trace_id, s.span_id) for s in spans]
    assert {one.event_name for one in told} == {"qtap.payload.dropped"}
    assert {one.severity_number for one in told} == {WARN}
    assert attributes(told[0]) == {
        "qtap.payload.uri": "s3://b/k",
        "qtap.payload.status": "dropped",
        "qtap.payload.drop_reason": "disk_full",
        "error.type": "disk_full",
    }


def test_lost_data(events):
    group, message = events.lost("ring_full", 5, 5000)
    record = parsed(message)
    assert group is AGENT
    assert (record.event_name, record.severity_number) == ("qtap.capture.lost", WARN)
    assert record.time_unix_nano == OFFSET
    assert attributes(record) == {
        "qtap.capture.lost.reason": "ring_full",
        "qtap.capture.lost.events": 5,
        "qtap.capture.lost.bytes": 5000,
    }
    assert "qtap.capture.lost.bytes" not in attributes(parsed(events.lost("ring_full", 5, None)[1]))


def test_limits_of_log_records_apply(connection):
    events = encoder(AttributeLimits(count=4, value_length=4))
    record = parsed(events.handshake(connection(), 0, 1)[1])
    assert len(record.attributes) == 4
    assert record.dropped_attributes_count == 12
    assert attributes(record)["process.executable.name"] == "pyth"


def test_captured_exchange_is_told_under_the_span_of_the_process(record):
    identity = SpanIdentity(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, trace_flags=1, instrumentation="x")
    spans = AttributeEncoder(SPAN_ATTRIBUTES)
    said = [spans.fragment("url.path", "/"), spans.fragment("http.response.status_code", 200)]
    group, message = encoder(AttributeLimits()).captured(record(identity=identity), AGENT, said)
    told = parsed(message)
    assert group is AGENT
    assert (told.event_name, told.severity_number) == ("qtap.payload.captured", INFO)
    assert (told.trace_id, told.span_id, told.flags) == (b"\x01" * 16, b"\x02" * 8, 1)
    assert told.time_unix_nano == OFFSET + 5_001_000_000
    assert attributes(told) == {"url.path": "/", "http.response.status_code": 200}

    [short] = [encoder(AttributeLimits(count=1)).captured(record(identity=identity), AGENT, said)[1]]
    assert attributes(parsed(short)) == {"url.path": "/"}
    assert parsed(short).dropped_attributes_count == 1


def test_process_that_is_not_captured(events, connection):
    facts = connection().facts
    group, message = events.not_captured(facts, "unsupported", "java", "libjvm.so: JSSE")
    record = parsed(message)
    assert b"orders" in group.resource
    assert (record.event_name, record.severity_number) == ("qtap.process.not_captured", INFO)
    told = attributes(record)
    assert told["process.pid"] == 1234
    assert (told["qtap.coverage.reason"], told["qtap.coverage.detail"]) == ("unsupported", "libjvm.so: JSSE")
    assert told["qtap.tls.library"] == "java"
    _, unknown = events.not_captured(facts, "no_library", "", "none is known")
    assert "qtap.tls.library" not in attributes(parsed(unknown))
