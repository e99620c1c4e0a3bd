# SPDX-License-Identifier: Apache-2.0
"""Real files that are written to, and what inotify tells of them."""

import ctypes
import errno
import logging
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.agent import write_watch as module
from otel_qtap.agent.write_watch import WriteWatch
from otel_qtap.discovery.inodes import identify
from otel_qtap.discovery.plan import FileIdentity


@pytest.fixture
def writes() -> Iterator[WriteWatch]:
    watch = WriteWatch()
    yield watch
    watch.close()


def identity(path: Path) -> FileIdentity:
    found = identify(str(path))
    assert found
    return found


def added(writes: WriteWatch, path: Path) -> int:
    watch = writes.add(str(path), identity(path))
    assert watch is not None
    return watch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    return path


def is_readable(writes: WriteWatch) -> bool:
    return bool(select.select([writes.descriptor], [], [], 0)[0])


def truncate(path: Path) -> None:
    path.open("wb").close()


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("write", [truncate, append])
def test_a_write_is_told_of(writes: WriteWatch, file: Path, write: object) -> None:
    watch = added(writes, file)
    assert not is_readable(writes)
    assert writes.written() == (frozenset(), False)
    write(file)
    assert is_readable(writes)
    assert writes.written() == ({watch}, False)
    assert writes.written() == (frozenset(), False)


def test_what_leaves_the_content_alone_is_not(writes: WriteWatch, file: Path) -> None:
    added(writes, file)
    file.read_bytes()
    file.chmod(0o700)
    os.utime(file, (1, 1))
    file.rename(file.with_name("renamed"))
    file.write_bytes(b"another file")
    assert writes.written() == (frozenset(), False)


def test_a_deleted_file_is_still_watched(writes: WriteWatch, file: Path) -> None:
    with file.open("ab", buffering=0) as writer:
        watch = added(writes, file)
        file.unlink()
        writer.write(b"more")
    assert writes.written().watches == {watch}


def test_a_removed_watch_is_silent_unless_somebody_else_has_it_too(writes: WriteWatch, file: Path) -> None:
    first, second = added(writes, file), added(writes, file)
    writes.remove(first)
    append(file)
    assert writes.written().watches == {second}
    writes.remove(second)
    append(file)
    assert writes.written().watches == frozenset()


def test_another_file_at_the_path_is_not_watched(writes: WriteWatch, file: Path) -> None:
    known = identity(file)
    file.rename(file.with_name("renamed"))
    file.write_bytes(b"another file")
    assert writes.add(str(file), known) is None
    file.unlink()
    assert writes.add(str(file), known) is None


def test_more_writes_than_the_kernel_keeps_are_said_to_be(writes: WriteWatch, file: Path) -> None:
    kept = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    one, other = file, file.with_name("other")
    other.write_bytes(b"first")
    for path in (one, other):
        added(writes, path)
    with one.open("ab", buffering=0) as first, other.open("ab", buffering=0) as second:
        for _ in range(kept // 2 + 1):  # the kernel joins equal events that follow each other
            first.write(b"x")
            second.write(b"x")
    assert writes.written().is_incomplete
    assert not writes.written().is_incomplete


def test_files_beyond_the_limit_are_told_of_once(
    writes: WriteWatch, file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)

    class Full:
        @staticmethod
        def inotify_add_watch(*_: object) -> int:
            ctypes.set_errno(errno.ENOSPC)
            return -1

    with monkeypatch.context() as patch:
        patch.setattr(module, "_libc", Full)
        assert [writes.add(str(file), identity(file)) for _ in range(3)] == [None] * 3
    (message,) = caplog.messages
    assert "raise fs.inotify.max_user_watches" in message
    added(writes, file)
    assert "can be watched for writes again" in caplog.messages[1]


def test_without_inotify_all_goes_on(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        @staticmethod
        def inotify_init1(_: int) -> int:
            ctypes.set_errno(errno.EMFILE)
            return -1

    monkeypatch.setattr(module, "_libc", Full)
    writes = WriteWatch()
    assert "raise fs.inotify.max_user_instances" in caplog.text
    assert writes.descriptor is None
    assert writes.add(str(file), identity(file)) is None
    assert writes.written() == (frozenset(), False)
    writes.close()
