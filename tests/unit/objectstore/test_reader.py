# SPDX-License-Identifier: Apache-2.0
import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.errors import NotStoredError, StoreError, TooLargeError
from otel_qtap.model.exchange import Part
from otel_qtap.objectstore import reader
from otel_qtap.objectstore.memory import MemoryStore
from otel_qtap.objectstore.reader import Reference, StoredRecord, read_other_half, read_part, read_record
from tests.support.cleared import REQUEST_HEAD, chunked_response, exchange, request, response, submit


class Watched(MemoryStore):
    """Remembers which ranges were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges: list[tuple[int, int]] = []

    def get_range(self, key: str, first: int, last: int) -> bytes:
        self.ranges.append((first, last))
        return super().get_range(key, first, last)


@pytest.fixture
def store() -> Watched:
    return Watched()


@pytest.fixture
def stored(new_archive, store):
    """Store exchanges; returns their records and the key of their segment."""

    def store_all(*items):
        archive = new_archive(store, segment_bytes=1 << 30)
        records = [submit(archive, item) for item in items]
        archive.shutdown(10)
        (key,) = store.keys()
        return records, key

    return store_all


def test_a_reference_is_taken_apart():
    assert Reference.parse("s3://bucket/a#b#bytes=0-812") == ("s3://bucket/a#b", 0, 812)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "s3://bucket/key",
        "#bytes=0-1",
        "s3://bucket/key#bytes=0",
        "s3://bucket/key#bytes=-1",
        "s3://bucket/key#bytes=1-",
        "s3://bucket/key#bytes=+1-2",
        "s3://bucket/key#bytes=²-3",
        "s3://bucket/key#bytes=1-2-3",
        "s3://bucket/key#bytes=5-4",
        "s3://bucket/key#bytes=0-" + "9" * 5000,
    ],
)
def test_anything_else_is_no_reference(uri):
    with pytest.raises(ValueError, match="reference"):
        Reference.parse(uri)


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_refused(text):
    try:
        reference = Reference.parse(text)
    except ValueError:
        return
    assert 0 <= reference.first <= reference.last


def test_one_record_is_read_by_one_range(stored, store):
    (record,), key = stored(exchange(request(), response(b"hello")))
    ref = record.response_ref
    found = read_record(store, key, ref.offset, ref.offset + ref.length - 1)
    assert store.ranges == [(ref.offset, ref.offset + ref.length - 1)]
    assert (found.part, found.body) == (Part.RESPONSE, b"hello")
    assert found.block == response(b"hello").head + b"hello"


def test_the_body_of_a_chunked_message_is_without_framing_and_trailers(stored, store):
    (record,), key = stored(exchange(None, chunked_response(b"hello", b"X-Sum: 1\r\n")))
    ref = record.response_ref
    found = read_record(store, key, ref.offset, ref.offset + ref.length - 1)
    assert found.body == b"hello"
    assert found.block.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_the_other_half_is_found_by_ranges_only(stored, store, size):
    body = os.urandom(size)
    items = [exchange(request(), response(body)), exchange(request(), response(b"the next exchange"))]
    (record, _), key = stored(*items)
    request_ref, response_ref = record.request_ref, record.response_ref

    found = read_part(store, key, request_ref.offset, response_ref.offset - 1, Part.RESPONSE)
    assert (found.part, found.body) == (Part.RESPONSE, body)
    read = sum(last - first + 1 for first, last in store.ranges)
    assert read < 3 * size + 200_000

    last = response_ref.offset + response_ref.length - 1
    found = read_part(store, key, response_ref.offset, last, Part.REQUEST)
    assert (found.part, found.block) == (Part.REQUEST, REQUEST_HEAD)


def test_the_half_that_was_asked_for_needs_no_second_read(stored, store):
    (record,), key = stored(exchange(request(), response()))
    ref = record.request_ref
    read_part(store, key, ref.offset, ref.offset + ref.length - 1, Part.REQUEST)
    assert len(store.ranges) == 1


def test_a_response_of_another_exchange_is_not_taken_for_the_own_one(stored, store):
    (record, _), key = stored(exchange(request()), exchange(None, response()))
    ref = record.request_ref
    with pytest.raises(StoreError, match="the response of this request was not stored"):
        read_part(store, key, ref.offset, ref.offset + ref.length - 1, Part.RESPONSE)


def test_a_request_without_response_at_the_end_of_the_segment(stored, store):
    (record,), key = stored(exchange(request()))
    ref = record.request_ref
    with pytest.raises(StoreError, match="the response of this request was not stored"):
        read_part(store, key, ref.offset, ref.offset + ref.length - 1, Part.RESPONSE)


def test_a_response_without_request(stored, store):
    (record,), key = stored(exchange(None, response()))
    ref = record.response_ref
    with pytest.raises(StoreError, match="the request of this response was not stored"):
        read_part(store, key, ref.offset, ref.offset + ref.length - 1, Part.REQUEST)


@pytest.mark.parametrize(("shift", "grow"), [(1, 0), (-1, 0), (0, -1), (0, 1), (0, 1 << 20)])
def test_a_range_that_is_not_a_record_is_refused(stored, store, shift, grow):
    (record, _), key = stored(exchange(request(), response()), exchange(request(), response()))
    ref = record.response_ref
    with pytest.raises(StoreError) as caught:
        read_record(store, key, ref.offset + shift, ref.offset + ref.length - 1 + grow)
    assert not caught.value.retryable


def test_the_record_that_describes_the_file_is_no_message(stored, store):
    (record,), key = stored(exchange(request()))
    with pytest.raises(StoreError, match="not the record of a captured message"):
        read_record(store, key, 0, record.request_ref.offset - 1)


@given(content=st.binary(max_size=200))
def test_a_member_with_any_content_is_a_message_or_refused(content):
    store = MemoryStore()
    member = gzip.compress(b"WARC/1.1\r\n" + content)
    store._objects["k"] = member
    with pytest.raises(StoreError, match="not the record"):
        read_record(store, "k", 0, len(member) - 1)


def test_more_than_the_limit_is_refused(stored, store, monkeypatch):
    monkeypatch.setattr(reader, "RECORD_LIMIT", 10_000)
    (record,), key = stored(exchange(request(), response(bytes(20_000))))
    ref = record.response_ref
    with pytest.raises(StoreError, match="a record of more than 10000 bytes"):
        read_record(store, key, ref.offset, ref.offset + ref.length - 1)


def test_a_record_beyond_the_callers_limit_is_refused_before_it_is_read(stored, store):
    (record,), key = stored(exchange(request(), response(bytes(20_000))))
    ref = record.response_ref
    last = ref.offset + ref.length - 1
    with pytest.raises(TooLargeError, match="more than 10000 bytes"):
        read_record(store, key, ref.offset, last, limit=10_000)
    with pytest.raises(TooLargeError, match="more than 10 bytes"):
        read_record(store, key, ref.offset, last, limit=10)
    named = read_record(store, key, record.request_ref.offset, ref.offset - 1)
    with pytest.raises(TooLargeError, match="more than 10000 bytes"):
        read_other_half(store, key, ref.offset - 1, named, limit=10_000)


def test_what_is_not_there_is_told_from_what_is_damaged(stored, store):
    (record,), key = stored(exchange(request()))
    ref = record.request_ref
    with pytest.raises(NotStoredError):
        read_record(store, key, ref.offset, ref.offset + 10_000)
    with pytest.raises(NotStoredError):
        read_part(store, key, ref.offset, ref.offset + ref.length - 1, Part.RESPONSE)
    with pytest.raises(StoreError) as caught:
        read_record(store, key, ref.offset + 1, ref.offset + ref.length - 1)
    assert not isinstance(caught.value, NotStoredError)


def record_with(body: bytes, coding: str) -> StoredRecord:
    return StoredRecord(
        fields={"qtap-body-offset": "0", "qtap-body-length": str(len(body)), "qtap-body-encoding": coding},
        block=body,
    )


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_body_is_decoded(coding):
    body = gzip.compress(b"hello") if coding else b"hello"
    assert record_with(body, coding).decoded_body() == b"hello"


def test_a_bomb_in_a_body_is_refused(monkeypatch):
    monkeypatch.setattr(reader, "RECORD_LIMIT", 10_000)
    with pytest.raises(StoreError, match="the decoded body is larger than 10000 bytes"):
        record_with(gzip.compress(bytes(10_001)), "gzip").decoded_body()


def test_the_store_is_asked_in_steps_that_grow(stored, store, tmp_path: Path):
    (record,), key = stored(exchange(request(), response(os.urandom(1_000_000))))
    ref = record.request_ref
    read_part(store, key, ref.offset, ref.offset + ref.length - 1, Part.RESPONSE)
    steps = [last - first + 1 for first, last in store.ranges[1:]]
    assert steps == [65_536 * 2**number for number in range(len(steps))]
    assert len(steps) == 5
