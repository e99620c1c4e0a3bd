# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.objectstore.reader import StoredRecord
from otel_qtap.viewer.messages import head_of, parameters, trailer_of


def record(
    block: bytes, offset: int, length: int = 0, kind: str = "application/http; msgtype=request"
) -> StoredRecord:
    return StoredRecord(
        fields={"content-type": kind, "qtap-body-offset": str(offset), "qtap-body-length": str(length)},
        block=block,
    )


def test_a_head_is_taken_apart_in_its_order() -> None:
    block = b"GET / HTTP/1.1\r\nHost: a\r\nX-A:  1 \r\nx-a: 2\r\nodd line\r\n\xff: \xfe\r\n\r\nbody"
    head = head_of(record(block, len(block) - 4, 4))
    assert head is not None
    assert head.start_line == "GET / HTTP/1.1"
    assert head.fields == (("Host", "a"), ("X-A", "1"), ("x-a", "2"), ("odd line", ""), ("\udcff", "\udcfe"))
    assert head.first("x-A") == "1"
    assert head.first("absent") == ""


def test_the_size_line_of_a_chunk_is_no_field() -> None:
    block = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
    chunked = record(block, block.index(b"hello"), 5)
    assert head_of(chunked).fields == (("Transfer-Encoding", "chunked"),)
    assert trailer_of(chunked) == "X-Sum: 1"


def test_without_trailer_fields_there_is_none() -> None:
    assert trailer_of(record(b"HTTP/1.1 200 OK\r\n\r\nhello", 19, 5)) == ""
    assert trailer_of(record(b"H\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 8, 5)) == ""


def test_a_head_that_was_cut_is_shown_as_far_as_it_goes() -> None:
    assert head_of(record(b"GET / HTTP/1.1\r\nHos", 19)).fields == (("Hos", ""),)


def test_other_protocols_have_no_head() -> None:
    assert head_of(record(b"SELECT 1", 0, 8, "application/sql")) is None
    assert head_of(record(b"", 0)) is None


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_block_has_a_head_or_none(block: bytes, offset: int) -> None:
    head_of(record(block, min(offset, len(block))))
    trailer_of(record(block, min(offset, len(block))))


@pytest.mark.parametrize(
    ("value", "media_type", "given_"),
    [
        ("", "", {}),
        ("Text/HTML", "text/html", {}),
        ('text/plain; Charset="UTF-8";a', "text/plain", {"charset": "UTF-8"}),
        ("multipart/form-data; boundary=--x=y; boundary=z", "multipart/form-data", {"boundary": "--x=y"}),
    ],
)
def test_media_types(value: str, media_type: str, given_: dict[str, str]) -> None:
    assert parameters(value) == (media_type, given_)
