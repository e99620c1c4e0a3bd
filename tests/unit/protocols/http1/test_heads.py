# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.protocols.http1.heads import HeadParser
from otel_qtap.protocols.http1.message import Message

PARSER = HeadParser()


def request(head: bytes) -> tuple[bool, Message]:
    message = Message(head, 0, 0)
    return PARSER.read_request(message), message


def response(head: bytes) -> tuple[bool, Message]:
    message = Message(head, 0, 0)
    return PARSER.read_response(message), message


@pytest.mark.parametrize(
    ("head", "method", "target", "version", "fields"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"GET", b"/", "1.1", {b"host": b"h"}),
        (b"GET / HTTP/1.0\r\n\r\n", b"GET", b"/", "1.0", {}),
        (b"GET  /x\tHTTP/1.1\r\n\r\n", b"GET", b"/x", "1.1", {}),
        (b"BREW /x HTTP/1.1\r\nA: \t b \r\n\r\n", b"BREW", b"/x", "1.1", {b"a": b"b"}),
        (b"GET / HTTP/1.1\nA: b\nC: d\n\n", b"GET", b"/", "1.1", {b"a": b"b", b"c": b"d"}),
        (b"GET / HTTP/1.1\r\nA: b\r\n  c\r\n\td\r\n\r\n", b"GET", b"/", "1.1", {b"a": b"b c d"}),
        (b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\nB: 3\r\n\r\n", b"GET", b"/", "1.1", {b"a": b"1, 2", b"b": b"3"}),
        (b"GET / HTTP/1.1\r\nA:\r\n\r\n", b"GET", b"/", "1.1", {b"a": b""}),
        (b"GET / HTTP/1.1\r\nA: \xe9\x80\r\n\r\n", b"GET", b"/", "1.1", {b"a": b"\xe9\x80"}),
        (
            b"GET / HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            b"GET",
            b"/",
            "1.1",
            {b"upgrade": b"x", b"connection": b"upgrade"},
        ),
    ],
)
def test_well_formed_requests(
    head: bytes, method: bytes, target: bytes, version: str, fields: dict[bytes, bytes]
):
    well_formed, message = request(head)
    assert well_formed
    assert (message.method, message.target, message.version) == (method, target, version)
    assert {name: b" ".join(value.split()) for name, value in message.fields.items()} == fields


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\x01: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nA: b\r\n\r\n",
    ],
)
def test_malformed_requests_keep_their_start_line(head: bytes):
    well_formed, message = request(head)
    assert not well_formed
    assert message.method == b"GET"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_request_line_has_no_version(head: bytes):
    well_formed, message = request(head)
    assert not well_formed
    assert message.version == ""


@pytest.mark.parametrize(
    ("head", "status", "version"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, "1.1"),
        (b"HTTP/1.0 404 Not \xe9 Found\r\n\r\n", 404, "1.0"),
        (b"HTTP/1.1 500\r\n\r\n", 500, "1.1"),
        (b"HTTP/1.1 200 \r\n\r\n", 200, "1.1"),
        (b"HTTP/1.1 599 x\nA: b\n\n", 599, "1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "1.1"),
    ],
)
def test_well_formed_responses(head: bytes, status: int, version: str):
    well_formed, message = response(head)
    assert well_formed
    assert (message.status, message.version) == (status, version)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 000 OK\r\n\r\n", b"ICY 200 OK\r\n\r\n", b"\r\n"]
)
def test_what_is_no_status_line(head: bytes):
    assert not response(head)[0]


def test_nothing_of_one_head_is_left_in_the_next():
    request(b"POST / HTTP/1.1\r\nContent-Length: 50\r\nSecret: x\r\n\r\n")
    well_formed, message = request(b"GET / HTTP/1.1\r\nA: b\r\n\r\n")
    assert well_formed
    assert message.fields == {b"a": b"b"}


def test_trailers():
    assert PARSER.is_trailer(b"X: 1\r\nY: 2\r\n")
    assert PARSER.is_trailer(b"X: 1\n")
    assert not PARSER.is_trailer(b"X 1\r\n")


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_read_or_refused(fields: bytes, is_request: bool):
    start = b"GET / HTTP/1.1\r\n" if is_request else b"HTTP/1.1 200 OK\r\n"
    (request if is_request else response)(start + fields + b"\r\n\r\n")
    (request if is_request else response)(fields)


REQUEST_LINES = (
    b"GET / HTTP/1.1\r\n",
    b"CONNECT h:1 HTTP/1.1\r\n",
    b"BREW /{} HTTP/1.0\r\n",
    b"GET /a b HTTP/1.1\r\n",
)
STATUS_LINES = (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 204 \r\n", b"HTTP/1.1 101 Go\r\n", b"HTTP/1.1  304\n")
FIELD_LINES = (
    *(
        b"Host: h\r\n",
        b"A: 1\r\n",
        b"a: 2\n",
        b"B: x\r\n y\r\n",
        b"C:\r\n",
        b"D : 1\r\n",
        b"E: a\0b\r\n",
        b"no colon\r\n",
    ),
    *(b"Content-Length: 1\r\n", b"Content-Length: 1, 1\r\n", b"Content-Length: x\r\n", b"Upgrade: h2c\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Connection: upgrade\r\n"),
)
SECTIONS = st.lists(st.sampled_from(FIELD_LINES), max_size=5).map(lambda lines: b"".join(lines) + b"\r\n")


@given(SECTIONS, st.permutations(REQUEST_LINES), st.permutations(STATUS_LINES))
def test_what_is_remembered_is_what_would_be_read(section: bytes, request_lines, status_lines):
    one = HeadParser()
    for lines, read in ((request_lines, HeadParser.read_request), (status_lines, HeadParser.read_response)):
        for line in lines:
            fresh, remembered = Message(line + section, 0, 0), Message(line + section, 0, 0)
            assert read(one, remembered) == read(HeadParser(), fresh)
            assert [
                getattr(remembered, name) for name in ("version", "method", "target", "status", "fields")
            ] == [getattr(fresh, name) for name in ("version", "method", "target", "status", "fields")]


def test_right_after_more_heads_than_are_remembered():
    parser = HeadParser()
    for number in range(2000):
        head = b"HTTP/1.1 200 reason %d\r\nA: %d\r\n\r\n" % (number, number)
        message = Message(head, 0, 0)
        assert parser.read_response(message)
        assert message.fields == {b"a": b"%d" % number}
