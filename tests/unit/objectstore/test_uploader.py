# SPDX-License-Identifier: Apache-2.0
import logging
import threading
from pathlib import Path

import pytest

from otel_qtap.errors import StoreError
from otel_qtap.model.record import SegmentDropped, SegmentStored
from otel_qtap.model.trace import SpanIdentity, SpanTarget
from otel_qtap.objectstore import StoredObject
from otel_qtap.objectstore import uploader as uploader_module
from otel_qtap.objectstore.memory import MemoryStore
from otel_qtap.objectstore.segment import OpenSegment, SealedSegment, SegmentManifest
from otel_qtap.objectstore.uploader import Uploader
from tests.support.waiting import eventually


class FaultyStore(MemoryStore):
    """Refuses the keys in ``refused`` with the error that stands there."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: dict[str, Exception] = {}
        self.attempts: list[str] = []

    def put(self, key: str, path: Path, size: int) -> StoredObject:
        self.attempts.append(key)
        if (error := self.refused.get(key)) is not None:
            raise error
        return super().put(key, path, size)


def sealed(directory: Path, name: str) -> SealedSegment:
    manifest = SegmentManifest(
        segment_id=name,
        store_url="memory:",
        key=name,
        uri=f"memory:/{name}",
        upload=SpanTarget(trace_id=b"t" * 16, span_id=name.encode().ljust(8)),
    )
    segment = OpenSegment(directory, manifest, opened_ns=0, first_member=b"first")
    segment.add(b"record", records=1, identity=SpanIdentity(trace_id=b"T" * 16, span_id=b"S" * 8))
    segment.write()
    return segment.seal()


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore()


@pytest.fixture
def uploader(store, monkeypatch):
    monkeypatch.setattr(uploader_module, "FIRST_WAIT_SECONDS", 0.01)
    made = Uploader(store, now_ns=lambda: 42)
    yield made
    made.shutdown(0)


def test_segments_reach_the_store_and_leave_the_disk(uploader, store, tmp_path):
    uploader.start()
    segment = sealed(tmp_path, "one")
    uploader.submit(segment)
    assert uploader.shutdown(10)
    assert store.get_range("one", 0, 99) == b"firstrecord"
    assert list(tmp_path.iterdir()) == []
    (outcome,) = uploader.outcomes()
    assert outcome == SegmentStored(
        upload=segment.manifest.upload,
        uri="memory:/one",
        key="one",
        bucket="",
        size=11,
        records=1,
        start_ns=42,
        end_ns=42,
    )
    assert uploader.outcomes() == []
    assert uploader.disk_bytes == 0


def test_a_failure_is_told_once_and_so_is_the_recovery(uploader, store, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    store.refused["one"] = StoreError("memory: cannot be reached")
    uploader.start()
    uploader.submit(sealed(tmp_path, "one"))
    eventually(lambda: uploader.statistics().failures >= 3, "three attempts")
    assert not uploader.healthy
    assert caplog.messages == [
        "memory: cannot be reached; segments are kept on the local disk and tried again"
    ]
    store.refused.clear()
    eventually(lambda: uploader.healthy, "an upload")
    (recovered,) = caplog.messages[1:]
    assert recovered.startswith("object store memory: takes segments again (after ")
    assert isinstance(uploader.outcomes()[0], SegmentStored)


def test_one_segment_that_the_store_never_takes_does_not_hold_up_the_others(uploader, store, tmp_path):
    store.refused["one"] = StoreError("memory: one is not welcome", retryable=False)
    for name in ("one", "two", "three"):
        uploader.submit(sealed(tmp_path, name))
    uploader.start()
    eventually(lambda: set(store.keys()) == {"two", "three"}, "the others are stored")
    assert uploader.statistics().waiting == 1


def test_a_bug_of_a_store_ends_no_thread_and_its_text_is_not_logged(uploader, store, tmp_path, caplog):
    store.refused["one"] = RuntimeError("payload bytes")
    uploader.start()
    uploader.submit(sealed(tmp_path, "one"))
    eventually(lambda: uploader.statistics().failures >= 5, "more attempts than there are threads")
    assert "payload bytes" not in caplog.text
    assert "RuntimeError" in caplog.text


def test_the_oldest_goes_first_also_after_failed_attempts(uploader, store, tmp_path):
    for name in ("a", "b", "c"):
        store.refused[name] = StoreError("no")
        uploader.submit(sealed(tmp_path, name))
    uploader.start()
    eventually(lambda: len(store.attempts) >= 4, "a round of attempts")
    assert not uploader.shutdown(0)
    eventually(
        lambda: not any(thread.is_alive() for thread in uploader._threads), "no thread holds a segment"
    )
    assert uploader.drop_oldest("disk_full")
    outcome = uploader.outcomes()[0]
    assert isinstance(outcome, SegmentDropped)
    assert outcome.uri == "memory:/a"
    assert outcome.spans == (SpanTarget(trace_id=b"T" * 16, span_id=b"S" * 8),)
    assert (outcome.reason, outcome.size, outcome.start_ns) == ("disk_full", 11, 42)
    assert not (tmp_path / "a.warc.gz").exists()


def test_nothing_to_drop(uploader):
    assert not uploader.drop_oldest("disk_full")


def test_shutdown_tries_once_more_without_waiting(uploader, store, tmp_path, monkeypatch):
    monkeypatch.setattr(uploader_module, "FIRST_WAIT_SECONDS", 3600.0)
    store.refused["one"] = StoreError("not now")
    uploader.start()
    uploader.submit(sealed(tmp_path, "one"))
    eventually(lambda: uploader.statistics().failures == 1, "a failed attempt")
    store.refused.clear()
    assert uploader.shutdown(10)
    assert store.keys() == ("one",)


def test_shutdown_ends_at_its_deadline_and_leaves_the_segment_on_the_disk(uploader, store, tmp_path):
    entered = threading.Event()
    leave = threading.Event()

    def hang(key: str, path: Path, size: int) -> StoredObject:
        entered.set()
        leave.wait(10)
        raise StoreError("too late")

    store.put = hang
    uploader.start()
    segment = sealed(tmp_path, "one")
    uploader.submit(segment)
    assert entered.wait(10)
    assert not uploader.shutdown(0.05)
    assert segment.path.exists()
    leave.set()


def test_an_upload_that_lost_its_file_is_given_up(uploader, store, tmp_path):
    segment = sealed(tmp_path, "one")
    segment.path.unlink()
    uploader.submit(segment)
    uploader.start()
    assert uploader.shutdown(10)
    (outcome,) = uploader.outcomes()
    assert (outcome.reason, len(outcome.spans)) == ("disk_error", 1)
    assert list(tmp_path.iterdir()) == []
