# SPDX-License-Identifier: Apache-2.0
"""Which files the kernel tells of when they are mapped as code or run, and how often."""

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from otel_qtap.capture.records import Kind
from otel_qtap.capture.syscalls import map_items, map_update
from tests.bpf.conftest import Tap
from tests.support.waiting import eventually

pytestmark = pytest.mark.bpf

OTHER, LIBRARY = 2, 3


def map_as_code(path: Path, protection: int = mmap.PROT_READ | mmap.PROT_EXEC) -> None:
    with path.open("rb") as file:
        mmap.mmap(file.fileno(), 0, prot=protection).close()


def reports(tap: Tap, path: Path, pid: int | None = None) -> int:
    tap.read()
    wanted = (Kind.FILE_MAPPED, pid or os.getpid(), path.stat().st_ino)
    return sum((notice.kind, notice.tgid, notice.inode) == wanted for notice in tap.notices)


def mark(tap: Tap, path: Path, kind: int) -> None:
    """What the supervisor says of a file that it has looked at."""
    status = path.stat()
    key = struct.pack("<QIxxxx", status.st_ino, os.major(status.st_dev) << 20 | os.minor(status.st_dev))
    map_update(tap.session.maps["known_files"], key, struct.pack("<IxxxxQ", kind, 0))


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

    mark(multi_tap, program, OTHER)
    before = len(multi_tap.notices)
    pid = run(program)
    multi_tap.read()
    assert pid not in {notice.tgid for notice in multi_tap.notices[before:]}


def test_who_runs_or_maps_a_library_is_told_of(multi_tap: Tap, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/true", program)
    mark(multi_tap, program, LIBRARY)
    pid = run(program)
    map_as_code(program)
    multi_tap.read()
    seen = {notice.tgid for notice in multi_tap.notices if notice.kind is Kind.PROCESS_SEEN}
    assert {pid, os.getpid()} <= seen
    assert reports(multi_tap, program) == 0
