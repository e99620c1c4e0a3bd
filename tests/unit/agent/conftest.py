# SPDX-License-Identifier: Apache-2.0
"""Processes that map files as code, and a procfs that shows only them."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_qtap.capture.records import Kind, ProcessNotice
from otel_qtap.discovery.procfs import ProcessReader
from tests.support.waiting import eventually

LIBSSL = "/usr/lib/x86_64-linux-gnu/libssl.so.3"
MAPPER = """
import mmap, os, sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC)
        globals()[path] = mapping
print("mapped", flush=True)
if program := sys.stdin.readline().strip():
    os.execv(program, [program])
"""


class Mapper:
    """A process that maps files as code until it is let go."""

    def __init__(self, *paths: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", MAPPER, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"mapped\n"
        self.pid = self._process.pid

    def notice(self, kind: Kind, file: Path | None = None) -> ProcessNotice:
        """What the kernel would say of it."""
        ticks = ProcessReader().start_ticks(self.pid)
        assert ticks is not None
        inode = file.stat().st_ino if file else 0
        command = Path(f"/proc/{self.pid}/comm").read_text().strip()
        return ProcessNotice(kind, self.pid, ticks * 10_000_000, 0, inode, 1, 0, command)

    def go_on_as(self, program: str) -> None:
        """Run another program in the same process: one that ends with its input."""
        assert self._process.stdin is not None
        self._process.stdin.write(program.encode() + b"\n")
        self._process.stdin.flush()
        eventually(lambda: Path(f"/proc/{self.pid}/exe").readlink() == Path(program), f"it runs {program}")

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.communicate(b"\n")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    copy = tmp_path / "libssl.so.3"
    shutil.copy(LIBSSL, copy)
    return copy


@pytest.fixture
def mapper(library: Path) -> Iterator[Mapper]:
    process = Mapper(library)
    yield process
    process.end()


@pytest.fixture
def proc(tmp_path: Path) -> Callable[..., str]:
    """A procfs that shows some of the real processes only."""

    def show(*pids: int) -> str:
        directory = tmp_path / "proc"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for pid in pids:
            (directory / str(pid)).symlink_to(f"/proc/{pid}")
        return str(directory)

    return show
