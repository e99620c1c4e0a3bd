# SPDX-License-Identifier: Apache-2.0
"""What every object store promises, asked of each: memory, a directory, a real S3 server."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.errors import NotStoredError, StoreError
from otel_qtap.objectstore import Archive, ObjectStore
from otel_qtap.objectstore.filesystem import FilesystemStore
from otel_qtap.objectstore.memory import MemoryStore
from otel_qtap.objectstore.reader import Reference, read_part
from otel_qtap.objectstore.s3 import S3Store
from tests.support.cleared import BOOT_UNIX_NS, chunked_response, counting_targets, exchange, request, submit
from tests.support.payloads import text_of_entropy
from tests.support.s3server import S3Server, running_s3_server

KEY = "service.name=a%20b/date=2026-11-24/hour=06/x.warc.gz"
CONTENT = bytes(range(256)) * 10


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.client().create_bucket(Bucket="payloads")
        yield server


@pytest.fixture(params=["memory", "filesystem", "s3", "s3_with_prefix"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "filesystem":
        return FilesystemStore(f"file://{tmp_path}/objects")
    server = request.getfixturevalue("s3_server")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return S3Store("payloads", "team/traffic" if request.param == "s3_with_prefix" else "")


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local"
    path.write_bytes(CONTENT)
    return path


def test_what_was_put_is_read_back_by_ranges(store, local):
    stored = store.put(KEY, local, len(CONTENT))
    assert stored.key.endswith(KEY)
    assert store.get_range(KEY, 0, len(CONTENT) - 1) == CONTENT
    assert store.get_range(KEY, 10, 10) == CONTENT[10:11]
    assert store.get_range(KEY, 300, 511) == CONTENT[300:512]


def test_a_range_beyond_the_end_is_short_or_empty(store, local):
    store.put(KEY, local, len(CONTENT))
    assert store.get_range(KEY, len(CONTENT) - 3, len(CONTENT) + 100) == CONTENT[-3:]
    assert store.get_range(KEY, len(CONTENT), len(CONTENT) + 100) == b""


def test_an_object_that_is_not_there_is_an_error_that_time_does_not_heal(store):
    with pytest.raises(NotStoredError, match=r"absent\.warc\.gz") as caught:
        store.get_range("absent.warc.gz", 0, 10)
    assert not caught.value.retryable


def test_a_local_file_that_is_gone_is_an_error_that_time_does_not_heal(store, tmp_path):
    with pytest.raises(StoreError) as caught:
        store.put(KEY, tmp_path / "gone", 10)
    assert not caught.value.retryable


def test_putting_again_replaces_the_object(store, local, tmp_path):
    store.put(KEY, local, len(CONTENT))
    other = tmp_path / "other"
    other.write_bytes(b"other")
    store.put(KEY, other, 5)
    assert store.get_range(KEY, 0, 100) == b"other"


def test_the_url_of_an_object_begins_with_that_of_the_store(store):
    assert not store.url.endswith("/")
    assert store.object_url("a/b=c.warc.gz") == f"{store.url}/a/b=c.warc.gz"


def test_a_store_that_works_passes_its_check(store):
    store.check()


def test_the_archive_and_the_reader_meet_in_the_store(store, tmp_path):
    archive = Archive(
        store,
        tmp_path / "state",
        segment_bytes=100_000,
        segment_seconds=5,
        max_disk_bytes=1 << 30,
        new_upload_target=counting_targets(),
        now_ns=lambda: 0,
        to_unix_ns=lambda boot_ns: BOOT_UNIX_NS + boot_ns,
    )
    archive.start()
    bodies = [text_of_entropy(size, str(size)).ljust(size, b".") for size in (0, 1, 16_383, 16_384, 300_000)]
    records = [submit(archive, exchange(request(body=body), chunked_response(body[::-1]))) for body in bodies]
    assert archive.shutdown(30)

    for body, record in zip(bodies, records, strict=True):
        for ref, expected in ((record.request_ref, body), (record.response_ref, body[::-1])):
            reference = Reference.parse(ref.uri)
            key = reference.object_url.removeprefix(f"{store.url}/")
            if isinstance(store, FilesystemStore):
                assert "%" not in key
            message = read_part(store, key, reference.first, reference.last, None)
            assert message.body == expected
            assert hashlib.sha256(message.body).hexdigest() == ref.sha256
