# SPDX-License-Identifier: Apache-2.0
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from otel_qtap.model.exchange import Incomplete, SpanKind
from otel_qtap.model.handshake import HandshakeSummary
from otel_qtap.model.identity import ConnectionContext, ConnectionId, PeerSource, ProcessFacts, ProcessId
from otel_qtap.model.record import Record
from otel_qtap.model.trace import SpanIdentity, SpanTarget
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.limits import AttributeLimits, SpanLimits
from otel_qtap.telemetry.resource import HostIdentity
from otel_qtap.telemetry.spans import SpanEncoder
from otel_qtap.telemetry.workloads import Workloads

OFFSET = 1_700_000_000_000_000_000
CLOCK = UnixClock(boottime_ns=lambda: 0, unix_ns=lambda: OFFSET)
TRACE, PARENT = b"\x01" * 16, b"\x03" * 8


def encoder(limits=None):
    return SpanEncoder(limits=limits or SpanLimits(), workloads=Workloads(HostIdentity(), CLOCK), clock=CLOCK)


def parsed(message):
    [span] = ScopeSpans.FromString(message).spans
    return span


def encoded(record, limits=None):
    return parsed(encoder(limits).encode(record)[1])


def value(any_value):
    if any_value.WhichOneof("value") == "array_value":
        return [value(item) for item in any_value.array_value.values]
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(span):
    keys = [one.key for one in span.attributes]
    assert len(keys) == len(set(keys)), "an attribute stands twice"
    return {one.key: value(one.value) for one in span.attributes}


def test_spans_of_a_connection_tell_its_handshake(record, connection):
    facts = HandshakeSummary(protocol="tls", version="1.3", cipher="TLS_X", resumed=True)
    told = attributes(encoded(record(connection=connection(handshake=facts))))
    assert {name: value for name, value in told.items() if name.startswith("tls.")} == {
        "tls.protocol.name": "tls",
        "tls.protocol.version": "1.3",
        "tls.cipher": "TLS_X",
        "tls.resumed": True,
    }


def test_plain_exchange(record):
    identity = SpanIdentity(
        trace_id=TRACE,
        span_id=b"\x02" * 8,
        parent_span_id=PARENT,
        parent_is_remote=True,
        trace_flags=3,
        trace_state="vendor=1",
    )
    span = encoded(record(identity=identity))

    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE, b"\x02" * 8, PARENT)
    assert span.trace_state == "vendor=1"
    assert span.flags == 0x300 | 3
    assert span.name == "GET"
    assert span.kind == Span.SPAN_KIND_CLIENT
    assert span.start_time_unix_nano == OFFSET + 5_000_000_000
    assert span.end_time_unix_nano == OFFSET + 5_001_000_000
    assert not span.HasField("status")
    assert not span.links
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "process.pid": 1234,
        "process.creation.time": "2023-11-14T22:13:20.00Z",
        "process.command": "python3",
        "process.executable.name": "python3.11",
        "process.executable.path": "/usr/bin/python3.11",
        "process.user.id": 1000,
        "process.user.name": "app",
        "qtap.peer.source": "nested_syscall",
        "qtap.tls.library": "openssl",
        "qtap.trace.join": "none",
        "qtap.capture.side": "client",
        "qtap.capture.complete": True,
    }


def test_root_of_an_unremote_trace(record):
    span = encoded(record(kind=SpanKind.SERVER))
    assert span.parent_span_id == b""
    assert span.flags == 0x100 | 1
    assert span.kind == Span.SPAN_KIND_SERVER
    assert attributes(span)["qtap.capture.side"] == "server"


def test_internal_span_has_no_side(record):
    span = encoded(record(kind=SpanKind.INTERNAL))
    assert span.kind == Span.SPAN_KIND_INTERNAL
    assert "qtap.capture.side" not in attributes(span)


def test_failure_is_told_by_status_and_type(record):
    span = encoded(record(is_error=True, error_type="503"))
    assert span.status == Status(code=Status.STATUS_CODE_ERROR)
    assert attributes(span)["error.type"] == "503"


def test_error_type_of_the_protocol_is_not_repeated(record):
    span = encoded(record(error_type="503", attributes={"error.type": "timeout"}))
    assert attributes(span)["error.type"] == "timeout"
    assert not span.HasField("status")


def test_incomplete_exchange_says_why(record):
    span = encoded(record(incomplete=(Incomplete.GAP, Incomplete.RESPONSE_NOT_SEEN)))
    assert attributes(span)["qtap.capture.complete"] is False
    assert attributes(span)["qtap.capture.incomplete_reason"] == ["gap", "response_not_seen"]


def test_end_is_never_before_the_start(record):
    span = encoded(record(start_ns=10, end_ns=5))
    assert span.end_time_unix_nano == span.start_time_unix_nano


def test_payloads_by_reference(record, object_ref, upload):
    request = object_ref("request", uri="s3://bucket/request#bytes=0-99", content_type="text/plain")
    response = object_ref(truncated="length", redacted=True)
    span = encoded(record(request_ref=request, response_ref=response, upload=upload))

    told = attributes(span)
    assert told["http.request.body.content_ref"] == request.uri
    assert told["http.response.body.content_ref"] == response.uri
    payload = {key.removeprefix("qtap.payload."): it for key, it in told.items() if "payload" in key}
    assert payload == {
        "uri": response.uri,
        "part": "response",
        "status": "pending",
        "size": 2048,
        "captured_size": 1024,
        "sha256": "ab" * 32,
        "content_type": "application/json",
        "encoding": "gzip",
        "offset": 1000,
        "length": 901,
        "truncated": "length",
        "redacted": True,
    }
    [link] = span.links
    assert (link.trace_id, link.span_id, link.flags) == (upload.trace_id, upload.span_id, 0x101)
    assert attributes(link) == {
        "qtap.link.kind": "payload",
        "qtap.payload.uri": response.uri,
        "qtap.payload.offset": 1000,
        "qtap.payload.length": 901,
        "qtap.payload.sha256": "ab" * 32,
        "qtap.payload.content_type": "application/json",
    }


def test_request_alone_is_the_main_payload(record, object_ref, upload):
    request = object_ref("request", encoding="", content_type="")
    span = encoded(record(request_ref=request, upload=upload))
    told = attributes(span)
    assert told["qtap.payload.uri"] == told["http.request.body.content_ref"] == request.uri
    assert told["qtap.payload.part"] == "request"
    assert "http.response.body.content_ref" not in told
    assert not {"qtap.payload.encoding", "qtap.payload.content_type", "qtap.payload.truncated"} & set(told)
    assert attributes(span.links[0])["qtap.payload.uri"] == request.uri


def test_other_protocols_have_no_http_references(record, object_ref):
    group, message = encoder().encode(record(protocol="redis", response_ref=object_ref()))
    told = attributes(parsed(message))
    assert not [key for key in told if key.endswith("content_ref")]
    assert told["qtap.payload.uri"]
    assert b"otel_qtap.redis" in group.scope


def test_refused_payload_is_told(record):
    told = attributes(encoded(record(refused="disk_full")))
    assert told["qtap.payload.status"] == "dropped"
    assert told["qtap.payload.drop_reason"] == "disk_full"
    assert "qtap.payload.uri" not in told


def test_store_that_the_user_disabled_is_no_drop(record):
    assert not [key for key in attributes(encoded(record(refused="store_disabled"))) if "payload" in key]


@pytest.mark.parametrize(
    "target",
    [
        SpanTarget(trace_id=TRACE, span_id=b"\x09" * 8),
        SpanTarget(trace_id=bytes(16), span_id=b"\x09" * 8),
        SpanTarget(trace_id=b"\x05" * 16, span_id=bytes(8)),
        SpanTarget(trace_id=b"", span_id=b""),
    ],
    ids=["own trace", "empty trace", "empty span", "nothing"],
)
@pytest.mark.parametrize("place", ["upload", "observed"])
def test_link_into_the_own_trace_or_to_nowhere_is_never_made(record, object_ref, target, place):
    spans = encoder()
    identity = SpanIdentity(trace_id=TRACE, span_id=b"\x02" * 8, link=target if place == "observed" else None)
    one = record(identity=identity, response_ref=object_ref(), upload=target if place == "upload" else None)
    assert not parsed(spans.encode(one)[1]).links
    assert spans.links_refused == 1


def test_observed_context_becomes_a_link(record, object_ref, upload):
    observed = SpanTarget(trace_id=b"\x0a" * 16, span_id=b"\x0b" * 8)
    identity = SpanIdentity(trace_id=TRACE, span_id=b"\x02" * 8, link=observed)
    span = encoded(record(identity=identity, response_ref=object_ref(), upload=upload))
    payload, context = span.links
    assert attributes(payload)["qtap.link.kind"] == "payload"
    assert (context.trace_id, context.span_id) == (observed.trace_id, observed.span_id)
    assert attributes(context) == {"qtap.link.kind": "observed_context"}
    assert context.flags == 0x300


def test_limits_cut_and_count(record, object_ref, upload):
    observed = SpanTarget(trace_id=b"\x0a" * 16, span_id=b"\x0b" * 8)
    identity = SpanIdentity(trace_id=TRACE, span_id=b"\x02" * 8, link=observed)
    one = record(identity=identity, response_ref=object_ref(), upload=upload)
    whole = encoded(one)
    limits = SpanLimits(
        attributes=AttributeLimits(count=3, value_length=4), link_count=1, link_attribute_count=2
    )

    span = encoded(one, limits)

    assert len(span.attributes) == 3
    assert span.dropped_attributes_count == len(whole.attributes) - 3
    assert len(span.links) == 1
    assert span.dropped_links_count == 1
    assert len(span.links[0].attributes) == 2
    assert span.links[0].dropped_attributes_count == 4
    assert attributes(span.links[0])["qtap.payload.uri"] == "s3:/"


def test_value_length_reaches_every_string(record, object_ref):
    limits = SpanLimits(attributes=AttributeLimits(value_length=5))
    told = attributes(encoded(record(response_ref=object_ref(), attributes={"a": "123456789"}), limits))
    assert all(len(it) <= 5 for it in told.values() if isinstance(it, str))


def test_command_line_never_leaves(record):
    group, message = encoder().encode(record())
    assert b"hunter2" not in group.resource + group.scope + message


def test_connection_learnt_more_of_is_told_anew(record, connection):
    spans = encoder()
    first, later = connection(peer_source=PeerSource.NONE), connection(peer_source=PeerSource.HELLO_RANDOM)
    assert first.id == later.id
    sources = [
        attributes(parsed(spans.encode(record(connection=one))[1]))["qtap.peer.source"]
        for one in (first, first, later)
    ]
    assert sources == ["none", "none", "hello_random"]


def test_workloads_do_not_mix(record, connection):
    spans = encoder()
    groups = {}
    for name in ("orders", "payments"):
        facts = ProcessFacts(process=ProcessId(len(name), 1), service_name=name)
        context = connection(id=ConnectionId(len(name), 1, 1, 1), facts=facts)
        groups[name] = spans.encode(record(connection=context))[0]
    assert all(name.encode() in group.resource for name, group in groups.items())
    assert groups["orders"] is not groups["payments"]


TEXT = st.text(max_size=30)


@given(
    name=TEXT,
    told=st.dictionaries(TEXT, TEXT | st.integers() | st.booleans() | st.tuples(TEXT), max_size=20),
    error_type=TEXT,
    reasons=st.lists(st.sampled_from(Incomplete), unique=True).map(tuple),
    kind=st.sampled_from(SpanKind),
    refused=TEXT,
    protocol=st.sampled_from(["http", "redis"]),
    trace_state=TEXT,
    executable=TEXT,
)
def test_any_record_becomes_a_span_that_can_be_read(
    *, name, told, error_type, reasons, kind, refused, protocol, trace_state, executable
):
    process = ProcessId(1, 1)
    record = Record(
        identity=SpanIdentity(trace_id=os.urandom(16), span_id=os.urandom(8), trace_state=trace_state),
        connection=ConnectionContext(
            id=ConnectionId(1, 1, 1, 1), facts=ProcessFacts(process=process, executable=executable)
        ),
        protocol=protocol,
        protocol_version="",
        kind=kind,
        name=name,
        start_ns=0,
        end_ns=1,
        attributes=told,
        error_type=error_type,
        is_error=bool(error_type),
        incomplete=reasons,
        findings=(),
        refused=refused,
    )
    span = encoded(record)
    assert span.trace_id == record.identity.trace_id
    assert {one.key for one in span.attributes} >= {
        "qtap.capture.complete",
        *(key.encode("utf-8", "replace").decode() for key in told),
    }


@pytest.mark.parametrize("kind", [SpanKind.CLIENT, SpanKind.SERVER])
def test_beside_a_span_of_the_process_ours_is_internal_and_below_it(kind, record, object_ref, upload):
    identity = SpanIdentity(
        trace_id=TRACE, span_id=PARENT, instrumentation="java_agent", capture_span_id=b"\x09" * 8
    )
    exchange = record(identity=identity, kind=kind, response_ref=object_ref(), upload=upload)
    span = encoded(exchange)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE, b"\x09" * 8, PARENT)
    assert (span.name, span.kind) == ("qtap.capture", Span.SPAN_KIND_INTERNAL)
    assert [link.trace_id for link in span.links] == [upload.trace_id]
    told = attributes(span)
    assert told["qtap.instrumentation.evidence"] == "java_agent"
    assert told["qtap.capture.side"] == kind.value
    assert told["http.response.body.content_ref"] == object_ref().uri


def test_where_the_span_of_the_process_has_no_name_ours_is_a_root(record):
    own = b"\x09" * 8
    identity = SpanIdentity(trace_id=TRACE, span_id=own, instrumentation="java_agent", capture_span_id=own)
    span = encoded(record(identity=identity, kind=SpanKind.SERVER))
    assert (span.span_id, span.parent_span_id, span.kind) == (own, b"", Span.SPAN_KIND_INTERNAL)
