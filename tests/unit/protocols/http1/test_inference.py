# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.protocols.base import Verdict
from otel_qtap.protocols.http1.inference import MAX_START_LINE, find_boundary, infer, search


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (b"GET / HTTP/1.1\r\n", Verdict.REQUEST),
        (b"BREW /pot HTTP/1.0\n", Verdict.REQUEST),
        (b"\r\nGET / HTTP/1.1\r\n", Verdict.REQUEST),
        (b"GET /a b HTTP/1.1\r\n", Verdict.REQUEST),
        (b"HTTP/1.1 200 OK\r\n", Verdict.RESPONSE),
        (b"HTTP/1.0 404\r\n", Verdict.RESPONSE),
        (b"", Verdict.MORE),
        (b"\r\n", Verdict.MORE),
        (b"G", Verdict.MORE),
        (b"GET /inde", Verdict.MORE),
        (b"HTT", Verdict.MORE),
        (b"HTTP/1.1 20", Verdict.MORE),
        (b"GET /" + b"x" * MAX_START_LINE, Verdict.REQUEST),
        (b"SET key" + b"x" * MAX_START_LINE, Verdict.NO),
        (b"HTTP/2 200\r\n", Verdict.NO),
        (b"HTTP/1.1 OK OK OK\r\n", Verdict.NO),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Verdict.NO),
        (b"\x16\x03\x01\x02\x00", Verdict.NO),
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", Verdict.NO),
        (b"*1\r\n$4\r\nPING\r\n", Verdict.NO),
        (b"EHLO mail.example\r\n", Verdict.NO),
        (b"x" * 65, Verdict.NO),
    ],
)
def test_first_bytes(head: bytes, verdict: Verdict):
    assert infer(head) is verdict


@given(st.sampled_from([b"GET /x HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n"]), st.integers(0, 20))
def test_a_prefix_is_never_ruled_out(head: bytes, length: int):
    assert infer(head[:length]) is not Verdict.NO


@pytest.mark.parametrize(
    ("data", "requests", "offset"),
    [
        (b"GET / HTTP/1.1\r\n", True, 0),
        (b'{"a":1}GET / HTTP/1.1\r\n', True, 7),
        (b"tail\r\nGET / HTTP/1.1\r\n", True, 6),
        (b"ttail of a PROPPATCH / HTTP/1.1\n", True, 11),
        (b"BREW /pot HTTP/1.1\r\n", True, 0),
        (b"x=BREW /pot HTTP/1.1\r\n", True, -1),
        (b"GET / HTTP/1.1", True, -1),
        (b'"GET / HTTP/1.1" 200 17\n', True, -1),
        (b"HTTP/1.1 200 OK\r\n", True, -1),
        (b" HTTP/1.1\r\nGET / HTTP/1.1\r\n", True, 11),
        (b"HTTP/1.1 200 OK\r\n", False, 0),
        (b"</html>HTTP/1.0 404 x", False, 7),
        (b"HTTP/1.HTTP/1.1 500\n", False, 7),
        (b"HTTP/1.1 20", False, -1),
        (b"HTTP/1.1 000 OK", False, -1),
    ],
)
def test_boundaries(data: bytes, requests: bool, offset: int):
    assert find_boundary(data, 0, requests=requests)[0] == offset


@given(
    st.binary(max_size=60),
    st.sampled_from([(True, b"GET /x HTTP/1.1\r\n"), (False, b"HTTP/1.1 200 OK\r\n")]),
    st.data(),
)
def test_what_is_kept_is_enough_to_find_a_boundary_in_pieces(
    noise: bytes, start: tuple[bool, bytes], choice: st.DataObject
):
    requests, line = start
    data = noise + line
    whole, _ = find_boundary(data, 0, requests=requests)
    cut = choice.draw(st.integers(0, len(data) - 1))
    found, keep = find_boundary(data[:cut], 0, requests=requests)
    if found < 0:
        assert keep <= whole
        found, _ = find_boundary(data[keep:], 0, requests=requests)
        found += keep
    assert found == whole >= 0


def test_what_is_kept_is_bounded():
    noise = b"x" * 100_000
    for requests in (True, False):
        found, keep = find_boundary(noise, 0, requests=requests)
        assert found == -1
        assert len(noise) - keep <= MAX_START_LINE


def test_search_names_the_kind_of_the_first_message():
    assert search(b"..." * 9) is Verdict.MORE
    assert search(b"...HTTP/1.1 200 OK\r\n\r\nGET / HTTP/1.1\r\n") is Verdict.RESPONSE
    assert search(b"...GET / HTTP/1.1\r\n\r\nHTTP/1.1 200 OK\r\n") is Verdict.REQUEST
