# SPDX-License-Identifier: Apache-2.0
"""Which files the kernel tells of when they are mapped as code or run, and how often."""

import mmap
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.agent.file_marks import Content, FileMarks
from otel_qtap.capture.records import Kind
from otel_qtap.capture.syscalls import map_items
from otel_qtap.discovery.inodes import identify
from otel_qtap.discovery.scan import KernelFile
from tests.bpf.conftest import Tap
from tests.support.overlays import mounted_overlay, scratch_file_system
from tests.support.waiting import eventually

pytestmark = pytest.mark.bpf


def map_as_code(path: Path, protection: int = mmap.PROT_READ | mmap.PROT_EXEC) -> None:
    with path.open("rb") as file:
        mmap.mmap(file.fileno(), 0, prot=protection).close()


def reports(tap: Tap, path: Path, pid: int | None = None) -> int:
    tap.read()
    wanted = (Kind.FILE_MAPPED, pid or os.getpid(), path.stat().st_ino)
    return sum((notice.kind, notice.tgid, notice.inode) == wanted for notice in tap.notices)


def kernel_file(path: Path) -> KernelFile:
    identity = identify(str(path))
    assert identity
    return identity.inode, identity.kernel_device


def mark(tap: Tap, path: Path, content: Content) -> None:
    """What the supervisor says of a file that it has looked at."""
    identity = identify(str(path))
    assert identity
    FileMarks(tap.session).give(kernel_file(path), content, identity)


def test_files_of_any_name_are_told_of_when_they_are_mapped_as_code(multi_tap: Tap, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("libssl.so.3", "cygrpc.so", "x", "y" * 200)]
    for file in files:
        file.write_bytes(b"\x7fELF")
        map_as_code(file, mmap.PROT_READ)
    assert not any(reports(multi_tap, file) for file in files), "not as code"
    for file in files:
        map_as_code(file)
    assert [reports(multi_tap, file) for file in files] == [1] * len(files)


def test_a_file_is_told_of_again_until_somebody_looked_at_it(multi_tap: Tap, tmp_path: Path) -> None:
    file = tmp_path / "libssl.so"
    file.write_bytes(b"\x7fELF")
    for _ in range(20):
        map_as_code(file)
    told = reports(multi_tap, file)
    assert 0 < told < 20, "not each time"

    def again() -> bool:
        map_as_code(file)
        return reports(multi_tap, file) > told

    eventually(again, "it is told of again")
    inodes = [
        int.from_bytes(key[:8], "little") for key, _ in map_items(multi_tap.session.maps["known_files"])
    ]
    assert inodes.count(file.stat().st_ino) == 1


def run(program: Path) -> int:
    with subprocess.Popen([program]) as process:
        process.wait()
    return process.pid


def test_a_program_is_told_of_when_it_is_run(multi_tap: Tap, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/true", program)
    pid = run(program)
    assert reports(multi_tap, program, pid) == 1

    mark(multi_tap, program, Content.OTHER)
    before = len(multi_tap.notices)
    pid = run(program)
    multi_tap.read()
    assert pid not in {notice.tgid for notice in multi_tap.notices[before:]}


def test_who_runs_or_maps_a_library_is_told_of(multi_tap: Tap, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/true", program)
    mark(multi_tap, program, Content.LIBRARY)
    pid = run(program)
    map_as_code(program)
    multi_tap.read()
    seen = {notice.tgid for notice in multi_tap.notices if notice.kind is Kind.PROCESS_SEEN}
    assert {pid, os.getpid()} <= seen
    assert reports(multi_tap, program) == 0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"\x7fELF")
    return path


@pytest.mark.parametrize("content", list(Content))
def test_a_file_that_was_written_to_is_unknown(multi_tap: Tap, file: Path, content: Content) -> None:
    mark(multi_tap, file, content)
    map_as_code(file)
    assert reports(multi_tap, file) == 0
    status = file.stat()
    os.utime(file, ns=(0, status.st_mtime_ns + 1))
    map_as_code(file)
    assert reports(multi_tap, file) == 1

    mark(multi_tap, file, content)
    map_as_code(file)
    assert reports(multi_tap, file) == 1, "it was looked at"
    with file.open("ab") as writer:
        writer.write(b"more")
    os.utime(file, ns=(0, status.st_mtime_ns + 1))
    map_as_code(file)
    assert reports(multi_tap, file) == 2, "its size tells"


def test_another_file_by_the_number_of_one_that_is_gone_is_unknown(multi_tap: Tap, file: Path) -> None:
    mark(multi_tap, file, Content.OTHER)
    first = file.stat()
    file.unlink()
    while not file.exists() or file.stat().st_mtime_ns == first.st_mtime_ns:  # the clock of files is coarse
        file.unlink(missing_ok=True)
        file.write_bytes(b"\x7fELF")
    if file.stat().st_ino != first.st_ino:
        pytest.skip("this file system does not give a number twice in a row")
    map_as_code(file)
    assert reports(multi_tap, file) == 1


@pytest.mark.parametrize("seconds", [-3_000_000_000, -1, 0, 1 << 33])
def test_any_time_of_a_file_is_the_same_to_both_sides(multi_tap: Tap, file: Path, seconds: int) -> None:
    os.utime(file, ns=(0, seconds * 10**9 + 123_456_789))
    mark(multi_tap, file, Content.OTHER)
    map_as_code(file)
    assert reports(multi_tap, file) == 0


@pytest.fixture
def merged(tmp_path: Path) -> Iterator[Path]:
    """What a container sees: a file of its image, and one of its own."""
    with scratch_file_system(tmp_path / "layers") as layers:
        (layers / "image").mkdir()
        (layers / "image" / "image's").write_bytes(b"\x7fELF")
        with mounted_overlay(layers / "container", layers / "image") as merged:
            (merged / "own").write_bytes(b"\x7fELF")
            yield merged


@pytest.mark.parametrize("name", ["image's", "own"])
def test_a_file_of_a_container_is_the_same_to_both_sides(multi_tap: Tap, merged: Path, name: str) -> None:
    mark(multi_tap, merged / name, Content.OTHER)
    map_as_code(merged / name)
    assert reports(multi_tap, merged / name) == 0
    with (merged / name).open("ab") as file:
        file.write(b"more")
    map_as_code(merged / name)
    assert reports(multi_tap, merged / name) == 1


def test_what_a_container_writes_by_a_mapping_is_told_of_no_more_than_it_takes(
    multi_tap: Tap, merged: Path
) -> None:
    file = merged / "own"
    before = file.stat().st_mtime_ns
    while file.stat().st_mtime_ns == before:  # the overlay's own inode is told of this later
        with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapping:
            mapping[3] = 0  # read first, it would count as no write
    marks, identity = FileMarks(multi_tap.session), identify(str(file))
    assert identity
    told = [0]
    for _ in range(6):
        marks.give(kernel_file(file), Content.OTHER, identity)
        map_as_code(file)
        told.append(reports(multi_tap, file))
        if told[-1] > told[-2]:
            marks.is_reported(kernel_file(file))
    assert told[-4:] == [told[-1]] * 4


def test_a_file_system_that_shows_another_time_than_its_inodes_have_is_borne(
    multi_tap: Tap, file: Path
) -> None:
    marks, identity = FileMarks(multi_tap.session), identify(str(file))
    assert identity
    shown = identity._replace(mtime_ns=identity.mtime_ns - 1)
    marks.give(kernel_file(file), Content.OTHER, shown)
    map_as_code(file)
    assert reports(multi_tap, file) == 1
    marks.is_reported(kernel_file(file))
    marks.give(kernel_file(file), Content.OTHER, shown)
    map_as_code(file)
    assert reports(multi_tap, file) == 1
    with file.open("ab") as writer:
        writer.write(b"more")
    map_as_code(file)
    assert reports(multi_tap, file) == 2
