# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.objectstore.filesystem import FilesystemStore
from otel_qtap.objectstore.memory import MemoryStore
from otel_qtap.objectstore.recovery import recover_segments
from otel_qtap.objectstore.segment import OPEN_SUFFIX
from tests.support.cleared import exchange, request, response, submit
from tests.support.stored import read_reference, read_segment

WRITER = """
import sys
from pathlib import Path
from otel_qtap.objectstore import Archive
from otel_qtap.objectstore.filesystem import FilesystemStore
from tests.support.cleared import counting_targets, exchange, request, response, submit
from tests.support.payloads import self_describing

directory = Path(sys.argv[1])
archive = Archive(
    FilesystemStore(f"file://{directory}/objects"), directory / "state", segment_bytes=1 << 18,
    segment_seconds=60,
    max_disk_bytes=1 << 30, new_upload_target=counting_targets(), now_ns=lambda: 0, to_unix_ns=lambda ns: ns,
)
archive.open()
number = 0
while True:
    record = submit(archive, exchange(request(), response(self_describing(str(number), 1000))))
    print(number, record.response_ref.uri, flush=True)
    number += 1
"""


def leave_open(archive, directory: Path, count: int = 3) -> Path:
    """What a process leaves that dies after ``count`` exchanges."""
    for number in range(count):
        submit(archive, exchange(request(), response(b"body %d" % number)))
    (path,) = directory.glob(f"*{OPEN_SUFFIX}")
    return path


def test_a_process_killed_while_it_writes_loses_nothing_that_it_referred_to(new_archive, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(1000)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.read().splitlines(keepends=True)
    process.wait()
    references = [line.split() for line in lines if line.endswith("\n")]

    archive = new_archive(FilesystemStore(f"file://{tmp_path}/objects"))
    assert archive.shutdown(30)
    assert archive.statistics().lost_segments == 0
    assert len({uri.partition("#")[0] for _, uri in references}) > 1
    for number, uri in references[::7] + references[-20:]:
        assert read_reference(uri).body.startswith(f"{number} ".encode())


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_an_unfinished_record_is_cut_off(new_archive, segments, cut):
    path = leave_open(new_archive(MemoryStore(), start=False), segments)
    os.truncate(path, path.stat().st_size - cut)
    recovered = recover_segments(segments)
    (segment,) = recovered.segments
    assert (recovered.lost, segment.manifest.records) == (0, 5)
    messages = list(read_segment(segment.path.read_bytes()))
    assert [message.body for message in messages] == [b"", b"body 0", b"", b"body 1", b""]
    assert segment.size == segment.path.stat().st_size
    assert len(segment.spans()) == 3


def test_zeros_of_a_crashed_filesystem_are_cut_off(new_archive, segments):
    path = leave_open(new_archive(MemoryStore(), start=False), segments)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(5000))
    assert recover_segments(segments).segments[0].size == size


def test_the_spans_are_found_again_in_the_records(new_archive, segments):
    archive = new_archive(MemoryStore(), start=False)
    items = [exchange(request(), response()) for _ in range(3)]
    records = [submit(archive, item) for item in items]
    (segment,) = recover_segments(segments).segments
    assert [(span.trace_id, span.span_id) for span in segment.spans()] == [
        (item.identity.trace_id, item.identity.span_id) for item in items
    ]
    assert segment.manifest.upload == records[0].upload


def test_a_segment_without_a_record_is_removed(new_archive, segments):
    path = leave_open(new_archive(MemoryStore(), start=False), segments)
    os.truncate(path, 10)
    recovered = recover_segments(segments)
    assert (recovered.segments, recovered.lost) == ((), 1)
    assert [path.name for path in segments.iterdir()] == ["lock"]


@pytest.mark.parametrize("damage", [b"", b"{}\n", None])
def test_a_segment_without_a_manifest_is_removed_and_counted(new_archive, segments, damage):
    leave_open(new_archive(MemoryStore(), start=False), segments)
    (manifest,) = segments.glob("*.manifest")
    if damage is None:
        manifest.unlink()
    else:
        manifest.write_bytes(damage)
    recovered = recover_segments(segments)
    assert (recovered.segments, recovered.lost) == ((), 1)
    assert [path.name for path in segments.iterdir()] == ["lock"]


def test_what_was_written_halfway_is_removed(new_archive, segments):
    archive = new_archive(MemoryStore(), start=False)
    (segments / "x.partial").write_bytes(b"half")
    (segments / "y.manifest").write_bytes(b"{}\n")
    (segments / "unrelated").write_bytes(b"stays")
    del archive
    recover_segments(segments)
    assert sorted(path.name for path in segments.iterdir()) == ["lock", "unrelated"]


def test_recovering_twice_finds_the_same(new_archive, segments):
    leave_open(new_archive(MemoryStore(), start=False), segments)
    first = recover_segments(segments)
    assert recover_segments(segments) == first
    assert len(first.segments) == 1
