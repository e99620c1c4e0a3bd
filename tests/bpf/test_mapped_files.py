# SPDX-License-Identifier: Apache-2.0
"""Which files the kernel tells of when they are mapped as code, and how often."""

import mmap
import os
from pathlib import Path

import pytest

from otel_qtap.capture.records import Kind
from otel_qtap.capture.syscalls import map_items
from tests.bpf.conftest import Tap
from tests.support.waiting import eventually

pytestmark = pytest.mark.bpf


def map_as_code(path: Path, protection: int = mmap.PROT_READ | mmap.PROT_EXEC) -> None:
    with path.open("rb") as file:
        mmap.mmap(file.fileno(), 0, prot=protection).close()


def reports(tap: Tap, path: Path) -> int:
    tap.read()
    wanted = (Kind.FILE_MAPPED, os.getpid(), path.stat().st_ino)
    return sum((notice.kind, notice.tgid, notice.inode) == wanted for notice in tap.notices)


NAMES = {
    "libssl.so.3": 1,
    "libssl-0badf00d.so.1.1": 1,
    "my-libssl.so": 1,
    "xlibslibssl.so": 1,
    "x" * 57 + "libssl": 1,
    "x" * 58 + "libssl": 0,  # beyond what is looked at
    "libss.so": 0,
    "libcrypto.so.3": 0,
    "l": 0,
}


def test_files_are_told_of_by_their_names(multi_tap: Tap, tmp_path: Path) -> None:
    files = [tmp_path / name for name in NAMES]
    for file in files:
        file.write_bytes(b"\x7fELF")
        map_as_code(file, mmap.PROT_READ)
    assert not any(reports(multi_tap, file) for file in files), "not as code"
    for file in files:
        map_as_code(file)
    assert {file.name: reports(multi_tap, file) for file in files} == NAMES


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
