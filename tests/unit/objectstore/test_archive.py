# SPDX-License-Identifier: Apache-2.0
import errno
import gzip
import logging
import os
import stat
import threading
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from otel_qtap.errors import SettingsError, StoreError
from otel_qtap.model.exchange import Part
from otel_qtap.model.record import ObjectRef, SegmentDropped, SegmentStored
from otel_qtap.objectstore import StoredObject
from otel_qtap.objectstore.archive import CALM_NS, MAX_OPEN_SEGMENTS
from otel_qtap.objectstore.filesystem import FilesystemStore
from otel_qtap.objectstore.memory import MemoryStore
from otel_qtap.objectstore.reader import Reference, read_record
from otel_qtap.objectstore.registry import locate
from tests.support.cleared import SECOND, chunked_response, connection, exchange, request, response, submit
from tests.support.payloads import text_of_entropy
from tests.support.stored import read_segment


class Unreachable(MemoryStore):
    """A store that refuses until it is told otherwise; ``asked`` is set by each attempt."""

    def __init__(self, *, retryable: bool = True) -> None:
        super().__init__()
        self.refuses = True
        self.retryable = retryable
        self.asked = threading.Event()

    def put(self, key: str, path: Path, size: int) -> StoredObject:
        self.asked.set()
        if self.refuses:
            raise StoreError("memory: is not reachable", retryable=self.retryable)
        return super().put(key, path, size)


def range_of(ref: ObjectRef | None, store: MemoryStore) -> bytes:
    assert ref is not None
    reference = Reference.parse(ref.uri)
    assert (reference.first, reference.last) == (ref.offset, ref.offset + ref.length - 1)
    return store.get_range(reference.object_url.removeprefix("memory:/"), reference.first, reference.last)


def test_what_is_submitted_is_in_the_store_at_its_reference(new_archive):
    store = MemoryStore()
    archive = new_archive(store)
    records = [
        submit(archive, exchange(request(), response(b"body %d" % number), service=service))
        for number in range(50)
        for service in ("checkout", "cart")
    ]
    assert archive.shutdown(10)

    for number, record in enumerate(records):
        assert record.refused == ""
        for ref, part in ((record.request_ref, Part.REQUEST), (record.response_ref, Part.RESPONSE)):
            # Exactly one member, complete by itself.
            assert gzip.decompress(range_of(ref, store)).startswith(
                b"WARC/1.1\r\nWARC-Type: " + part.encode()
            )
        assert range_of(record.response_ref, store).startswith(b"\x1f\x8b")
        stored = gzip.decompress(range_of(record.response_ref, store))
        assert stored.endswith(b"\r\n\r\nbody %d\r\n\r\n" % (number // 2))
    outcomes = archive.outcomes()
    assert sorted(outcome.records for outcome in outcomes) == [100, 100]
    assert {outcome.upload for outcome in outcomes} == {record.upload for record in records}


def test_a_segment_is_a_warc_file_of_which_every_digest_holds(new_archive, tmp_path):
    store = FilesystemStore(f"file://{tmp_path}/objects")
    archive = new_archive(store)
    for body in (b"", b"plain", b"x" * 100_000):
        submit(archive, exchange(request(), response(body)))
        submit(archive, exchange(request(), chunked_response(body)))
    archive.shutdown(10)
    (segment,) = tmp_path.rglob("*.warc.gz")

    with segment.open("rb") as file:
        kinds = [record.rec_type for record in ArchiveIterator(file)]
    assert kinds == ["warcinfo", *["request", "response"] * 6]
    messages = list(read_segment(segment.read_bytes()))  # fails for a digest that does not hold
    assert [message.body for message in messages[1::2]] == [
        *[b""] * 2,
        *[b"plain"] * 2,
        *[b"x" * 100_000] * 2,
    ]


def test_the_key_tells_service_day_and_hour(new_archive):
    store = MemoryStore()
    archive = new_archive(store)
    submit(archive, exchange(request(), service="Zahlung/ü", at_ns=3 * 3600 * SECOND))
    archive.shutdown(10)
    (key,) = store.keys()
    assert key.startswith("service.name=Zahlung%2F%C3%BC/date=2026-11-24/hour=09/20261124T090000Z-")
    assert key.endswith(".warc.gz")


@pytest.mark.parametrize(
    ("context", "name"),
    [
        (connection("", executable="/usr/bin/curl"), "unknown_service_curl"),
        (connection(""), "unknown_service"),
        (connection("a" * 5000), "a" * 200),
        (connection("a" + "é" * 5000), "a" + "%C3%A9" * 33),
        (connection("ab" + "%" * 5000), "ab" + "%25" * 66),
        (connection("../.."), "..%2F.."),
        (connection("bad\udcff"), "bad%3F"),
    ],
)
def test_services_without_a_usable_name_have_a_key_too(new_archive, context, name):
    store = MemoryStore()
    archive = new_archive(store)
    submit(archive, exchange(request(), context=context))
    archive.shutdown(10)
    assert store.keys()[0].split("/")[0] == f"service.name={name}"


def test_a_reference_into_a_directory_is_a_url_whatever_the_name_of_the_service(new_archive, tmp_path):
    archive = new_archive(FilesystemStore(f"file://{tmp_path}/objects"))
    ref = submit(archive, exchange(request(), service="a b:c")).request_ref
    archive.shutdown(10)
    reference = Reference.parse(ref.uri)
    assert "%2520" in reference.object_url
    store, key = locate(reference.object_url)
    assert read_record(store, key, reference.first, reference.last).block == request().head


def test_a_reference_tells_what_the_message_is(new_archive):
    archive = new_archive(MemoryStore())
    body = gzip.compress(b"abc")
    payload = response(body, encoding="gzip", size=500, truncated="length", redacted=True)
    ref = submit(archive, exchange(None, payload)).response_ref
    assert (ref.size, ref.captured_size, ref.content_type, ref.encoding, ref.truncated, ref.redacted) == (
        500,
        len(body),
        "text/plain",
        "gzip",
        "length",
        True,
    )


def test_an_exchange_without_payloads_opens_no_segment(new_archive, segments):
    archive = new_archive(MemoryStore())
    record = submit(archive, exchange())
    assert (record.request_ref, record.response_ref, record.upload, record.refused) == (None, None, None, "")
    assert [path.name for path in segments.iterdir()] == ["lock"]


def test_metadata_passes_through(new_archive):
    item = exchange(request(), response())
    record = submit(new_archive(None), item)
    names = ("identity", "connection", "protocol", "protocol_version", "kind", "name", "start_ns", "end_ns")
    more = ("attributes", "error_type", "is_error", "incomplete", "findings")
    for name in (*names, *more):
        assert getattr(record, name) is getattr(item, name)


def test_without_a_store_there_are_no_references_and_no_files(new_archive, tmp_path):
    archive = new_archive(None)
    record = submit(archive, exchange(request(), response()))
    assert (record.request_ref, record.upload, record.refused) == (None, None, "store_disabled")
    assert archive.statistics().refused == {"store_disabled": 1}
    archive.tick(99 * SECOND)
    assert archive.outcomes() == []
    assert archive.healthy
    assert archive.shutdown(1)
    assert list(tmp_path.iterdir()) == []


def test_a_segment_is_closed_by_size(new_archive):
    store = MemoryStore()
    archive = new_archive(store, segment_bytes=20_000)
    for number in range(40):
        submit(archive, exchange(None, response(text_of_entropy(2000, str(number)))))
    archive.shutdown(10)
    assert len(store.keys()) > 1
    sizes = [outcome.size for outcome in archive.outcomes()]
    assert all(20_000 <= size < 23_000 for size in sorted(sizes)[1:])


def test_a_segment_is_closed_by_age(new_archive, segments):
    archive = new_archive(MemoryStore(), segment_seconds=5, start=False)
    submit(archive, exchange(request(), at_ns=10 * SECOND))
    archive.tick(15 * SECOND - 1)
    assert archive.statistics().open_segments == 1
    archive.tick(15 * SECOND)
    assert archive.statistics().open_segments == 0
    assert len(list(segments.glob("*.warc.gz"))) == 1


def test_an_exchange_that_comes_late_does_not_make_a_segment_that_is_old_at_once(new_archive):
    archive = new_archive(MemoryStore(), segment_seconds=5, start=False)
    archive.tick(100 * SECOND)
    submit(archive, exchange(request(), at_ns=10 * SECOND))
    archive.tick(101 * SECOND)
    assert archive.statistics().open_segments == 1


def test_open_segments_are_bounded(new_archive, segments):
    archive = new_archive(MemoryStore(), start=False)
    for number in range(MAX_OPEN_SEGMENTS + 5):
        assert submit(archive, exchange(request(), service=f"s{number}")).request_ref is not None
    assert archive.statistics().open_segments == MAX_OPEN_SEGMENTS
    assert len(list(segments.glob("*.warc.gz"))) == 5


def test_nobody_else_can_read_what_is_on_the_disk(new_archive, tmp_path):
    archive = new_archive(FilesystemStore(f"file://{tmp_path}/objects"), start=False)
    submit(archive, exchange(request(), service="sealed"))
    archive.tick(99 * SECOND)
    submit(archive, exchange(request(), service="open"))
    before = list((tmp_path / "state").rglob("*"))
    assert len(before) == 6  # directory, lock, two files each
    archive.start()
    archive.shutdown(10)
    stored = list((tmp_path / "objects").rglob("*"))
    submit(archive, exchange(request(), service="after"))
    for path in [*stored, *(tmp_path / "state").rglob("*"), tmp_path / "state", tmp_path / "objects"]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_oldest_segments_go_when_the_bound_is_reached_and_each_span_is_told(
    new_archive, segments, caplog
):
    caplog.set_level(logging.INFO)
    archive = new_archive(Unreachable(), segment_bytes=10_000, max_disk_bytes=100_000, start=False)
    records = [
        submit(archive, exchange(None, response(text_of_entropy(4000, str(number))), at_ns=number * SECOND))
        for number in range(40)
    ]
    assert all(record.response_ref is not None for record in records)
    outcomes = archive.outcomes()
    assert outcomes
    assert all(isinstance(outcome, SegmentDropped) and outcome.reason == "disk_full" for outcome in outcomes)
    told = [span for outcome in outcomes for span in outcome.spans]
    first = [record.identity for record in records[: len(told)]]
    assert [(span.trace_id, span.span_id) for span in told] == [(i.trace_id, i.span_id) for i in first]
    assert outcomes[0].upload == records[0].upload
    assert records[0].response_ref.uri.startswith(outcomes[0].uri)
    statistics = archive.statistics()
    assert statistics.disk_bytes <= 100_000
    assert sum(path.stat().st_size for path in segments.iterdir()) <= 100_000
    assert (statistics.uploads.dropped, statistics.uploads.dropped_spans) == (len(outcomes), len(told))
    assert [message for message in caplog.messages if "oldest are dropped" in message] == [caplog.messages[0]]

    archive.tick(1000 * SECOND)
    archive.tick(1000 * SECOND + CALM_NS + 1)
    assert caplog.messages[-1].startswith("there is room for segments on the local disk again")


def test_what_does_not_fit_at_all_is_refused_without_dropping_anything(new_archive):
    archive = new_archive(Unreachable(), max_disk_bytes=100_000, start=False)
    submit(archive, exchange(request()))
    archive.tick(99 * SECOND)
    record = submit(archive, exchange(None, response(text_of_entropy(400_000))))
    assert (record.response_ref, record.upload, record.refused) == (None, None, "disk_full")
    assert archive.statistics().refused == {"disk_full": 1}
    assert archive.outcomes() == []


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "disk_full"), (errno.EDQUOT, "disk_full"), (errno.EIO, "disk_error")]
)
def test_a_disk_that_refuses_leaves_no_reference_and_no_torn_record(
    new_archive, monkeypatch, caplog, code, reason
):
    store = MemoryStore()
    archive = new_archive(store)
    submit(archive, exchange(None, response(b"before")))
    write = os.pwrite

    def torn(descriptor: int, data: bytes, position: int) -> int:
        if len(data) > 20:
            return write(descriptor, data[:20], position)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pwrite", torn)
    refused = [submit(archive, exchange(None, response(b"lost" * 50))) for _ in range(3)]
    new_service = submit(archive, exchange(None, response(), service="another"))
    monkeypatch.undo()
    after = submit(archive, exchange(None, response(b"after")))
    archive.shutdown(10)

    assert [record.refused for record in (*refused, new_service)] == [reason] * 4
    assert all(record.response_ref is None and record.upload is None for record in refused)
    assert gzip.decompress(range_of(after.response_ref, store)).endswith(b"after\r\n\r\n")
    (key,) = store.keys()
    bodies = [message.body for message in read_segment(store.get_range(key, 0, 1 << 30))]
    assert bodies == [b"before", b"after"]
    assert sum("the local disk refuses segments" in message for message in caplog.messages) == 1


def test_exchanges_of_one_call_are_written_at_once(new_archive, monkeypatch):
    store = MemoryStore()
    archive = new_archive(store)
    submit(archive, exchange(request()))
    submit(archive, exchange(request(), service="another"))
    written = []
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: written.append(len(data)) or write(fd, data, at))
    items = [
        exchange(request(), response(b"%d" % n), service=s) for n in range(9) for s in ("checkout", "another")
    ]
    records = archive.submit(items)
    assert len(written) == 2
    assert [record.identity for record in records] == [item.identity for item in items]
    assert sum(written) == sum(record.request_ref.length + record.response_ref.length for record in records)
    archive.shutdown(10)
    for number, record in enumerate(records):
        assert gzip.decompress(range_of(record.response_ref, store)).endswith(
            b"\r\n%d\r\n\r\n" % (number // 2)
        )


def test_a_disk_that_refuses_takes_back_the_references_of_that_segment_only(new_archive, monkeypatch):
    store = MemoryStore()
    archive = new_archive(store)
    submit(archive, exchange(None, response(b"before")))
    submit(archive, exchange(None, response(b"before"), service="another"))
    (descriptor, *_) = [growing.segment._descriptor for growing in archive._open.values()]
    write = os.pwrite

    def refuse(to: int, data: bytes, position: int) -> int:
        if to == descriptor:
            raise OSError(errno.ENOSPC, "full")
        return write(to, data, position)

    monkeypatch.setattr(os, "pwrite", refuse)
    before = archive.statistics()
    records = archive.submit(
        [
            exchange(request(), response(b"%d" % n), service=s)
            for n in range(2)
            for s in ("checkout", "another")
        ]
    )
    monkeypatch.undo()
    assert [record.refused for record in records] == ["disk_full", "", "disk_full", ""]
    assert [record.request_ref is None and record.upload is None for record in records] == [True, False] * 2
    after = archive.statistics()
    assert after.refused == {"disk_full": 2}
    assert after.records == before.records + 4
    assert after.captured_bytes == before.captured_bytes + 2
    archive.shutdown(10)
    assert archive.statistics().disk_bytes == 0
    assert {outcome.records for outcome in archive.outcomes()} == {1, 5}


def test_a_segment_that_becomes_full_within_a_call_is_closed_there(new_archive):
    store = MemoryStore()
    archive = new_archive(store, segment_bytes=3000)
    records = archive.submit([exchange(None, response(text_of_entropy(1500, str(n)))) for n in range(8)])
    archive.shutdown(10)
    outcomes = archive.outcomes()
    assert len(outcomes) >= 2
    assert {outcome.upload for outcome in outcomes} == {record.upload for record in records}
    for number, record in enumerate(records):
        stored = gzip.decompress(range_of(record.response_ref, store))
        assert stored.endswith(text_of_entropy(1500, str(number)) + b"\r\n\r\n")


def test_a_full_disk_at_sealing_does_not_lose_the_segment_nor_its_spans(new_archive, segments):
    archive = new_archive(Unreachable(), start=False)
    item = exchange(request())
    submit(archive, item)
    (manifest,) = segments.glob("*.manifest")
    # A directory in the way of the temporary file stands for a disk that takes no new file.
    manifest.with_suffix(".partial").mkdir()
    archive.tick(99 * SECOND)
    assert len(list(segments.glob("*.warc.gz"))) == 1
    assert archive._uploader.drop_oldest("disk_full")
    (outcome,) = archive.outcomes()
    assert [span.span_id for span in outcome.spans] == [item.identity.span_id]


def test_a_segment_whose_file_is_gone_is_announced(new_archive, segments):
    archive = new_archive(MemoryStore())
    item = exchange(request())
    submit(archive, item)
    (path,) = segments.glob("*.open")
    path.unlink()
    archive.shutdown(10)
    (outcome,) = archive.outcomes()
    assert (outcome.reason, [span.span_id for span in outcome.spans]) == (
        "disk_error",
        [item.identity.span_id],
    )


def test_what_could_not_be_uploaded_is_uploaded_by_the_next_process(new_archive, tmp_path):
    store = Unreachable()
    archive = new_archive(store)
    records = [submit(archive, exchange(request(), response(b"%d" % number))) for number in range(5)]
    assert not archive.shutdown(0.2)
    assert not archive.healthy
    store.refuses = False

    following = new_archive(store)
    assert following.statistics().recovered_segments == 1
    assert following.shutdown(10)
    (outcome,) = following.outcomes()
    assert isinstance(outcome, SegmentStored)
    assert (outcome.upload, outcome.records) == (records[0].upload, 10)
    for number, record in enumerate(records):
        assert gzip.decompress(range_of(record.response_ref, store)).endswith(b"\r\n%d\r\n\r\n" % number)
    assert [path.name for path in (tmp_path / "state" / "segments").iterdir()] == ["lock"]


def test_segments_of_another_store_wait_for_it_and_go_first_when_room_is_needed(
    new_archive, tmp_path, caplog
):
    first = FilesystemStore(f"file://{tmp_path}/first")
    archive = new_archive(first, start=False)
    submit(archive, exchange(request()))
    archive.shutdown(0)

    second = new_archive(FilesystemStore(f"file://{tmp_path}/second"))
    assert any("belong to another store than" in message for message in caplog.messages)
    assert second.shutdown(10)
    assert list(tmp_path.glob("second/**/*.warc.gz")) == []
    assert second.statistics().uploads.waiting == 1

    third = new_archive(first)
    assert third.shutdown(10)
    assert len(list(tmp_path.glob("first/**/*.warc.gz"))) == 1


def test_a_directory_serves_one_agent_at_a_time(new_archive):
    archive = new_archive(MemoryStore())
    with pytest.raises(SettingsError, match="OTEL_QTAP_STATE_DIRECTORY: another otel-qtap"):
        new_archive(MemoryStore())
    archive.shutdown(1)
    archive.shutdown(1)
    new_archive(MemoryStore())


def test_an_unusable_state_directory_is_refused_with_the_fix(new_archive, tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(SettingsError, match=r"OTEL_QTAP_STATE_DIRECTORY: cannot use .*give the directory"):
        new_archive(MemoryStore())


def test_statistics_add_up(new_archive):
    archive = new_archive(MemoryStore())
    submit(archive, exchange(request(), response(b"12345")))
    submit(archive, exchange(request(body=b"123")))
    submit(archive, exchange())
    before = archive.statistics()
    assert (before.exchanges, before.records, before.captured_bytes, before.open_segments) == (2, 3, 8, 1)
    archive.shutdown(10)
    after = archive.statistics()
    assert (after.open_segments, after.disk_bytes, after.uploads.stored, after.uploads.waiting) == (
        0,
        0,
        1,
        0,
    )
    assert after.uploads.stored_bytes > after.written_bytes > 0
