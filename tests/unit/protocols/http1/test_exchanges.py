# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.model.exchange import Exchange, Part
from otel_qtap.model.identity import Direction
from tests.support.http1_wire import client, play, server

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def one(request: bytes, response: bytes, **player: object) -> Exchange:
    (exchange,) = play([client(request), server(response)], **player)
    return exchange


@pytest.mark.parametrize(
    ("status", "direction", "error_type"),
    [
        (200, Direction.EGRESS, ""),
        (302, Direction.EGRESS, ""),
        (404, Direction.EGRESS, "404"),
        (404, Direction.INGRESS, ""),
        (500, Direction.EGRESS, "500"),
        (503, Direction.INGRESS, "503"),
    ],
)
def test_status_by_side(status: int, direction: Direction, error_type: str):
    exchange = one(GET, b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status, client_direction=direction)
    assert (exchange.error_type, exchange.is_error) == (error_type, bool(error_type))


def test_payloads_are_what_was_on_the_wire():
    head = b"POST /p HTTP/1.1\r\nhOST:  h\r\nX: a\r\n b\r\nContent-Type: Application/JSON; charset=x\r\n"
    head += b"Content-Encoding: GZIP\r\nTransfer-Encoding: chunked\r\n\r\n"
    exchange = one(
        head + b"2;x\r\n\x1f\x8b\r\n0\r\nT: 1\r\n\r\n", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"
    )
    request, response = exchange.request, exchange.response
    assert request is not None
    assert response is not None
    assert (request.part, request.record_type) == (Part.REQUEST, "application/http; msgtype=request")
    assert (request.head, request.body, request.tail) == (head, b"\x1f\x8b", b"T: 1\r\n")
    assert (request.media_type, request.encoding, request.chunked) == ("application/json", "gzip", True)
    assert (response.part, response.record_type) == (Part.RESPONSE, "application/http; msgtype=response")
    assert (response.head, response.body) == (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n", b"ok")
    assert (response.media_type, response.encoding, response.chunked) == ("", "", False)


def test_transfer_codings_under_chunked_count_as_encoding():
    exchange = one(
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    )
    assert exchange.response is not None
    assert exchange.response.encoding == "br, gzip"


def test_propagation_fields():
    exchange = one(
        b"GET / HTTP/1.1\r\nTraceParent: 00-a-b-01\r\ntracestate: x=1\r\ntracestate: y=2\r\n"
        b"b3: 0\r\nX-B3-TraceId: 1\r\nX-B3-SpanId: 2\r\nX-B3-ParentSpanId: 3\r\nX-B3-Sampled: 1\r\n"
        b"X-B3-Flags: 0\r\nX-Amzn-Trace-Id: Root=1\r\n"
        b"baggage: secret=1\r\nX-Other: 1\r\n\r\n",
        b"HTTP/1.1 204 No\r\n\r\n",
    )
    assert exchange.propagation == {
        "traceparent": "00-a-b-01",
        "tracestate": "x=1, y=2",
        "b3": "0",
        "x-b3-traceid": "1",
        "x-b3-spanid": "2",
        "x-b3-parentspanid": "3",
        "x-b3-sampled": "1",
        "x-b3-flags": "0",
        "x-amzn-trace-id": "Root=1",
    }


def test_a_repeated_traceparent_cannot_be_taken_for_one():
    exchange = one(
        b"GET / HTTP/1.1\r\ntraceparent: 00-a-b-01\r\ntraceparent: 00-c-d-01\r\n\r\n",
        b"HTTP/1.1 204 No\r\n\r\n",
    )
    assert exchange.propagation["traceparent"] == "00-a-b-01, 00-c-d-01"


def test_an_overlong_propagation_field_is_left_out():
    exchange = one(b"GET / HTTP/1.1\r\ntracestate: " + b"x" * 2000 + b"\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n")
    assert exchange.propagation == {}


def test_names_and_versions():
    exchange = one(b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n")
    assert (exchange.protocol, exchange.protocol_version, exchange.name) == ("http", "1.0", "GET")
