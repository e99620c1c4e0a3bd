# SPDX-License-Identifier: Apache-2.0
"""Which library files a process has in its memory (proc_pid_maps(5))."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from otel_qtap.discovery.bounded import read_bounded
from otel_qtap.probes.spec import TlsLibrary

_MAX_MAPS = 32 << 20
_DELETED = " (deleted)"


class LibraryFiles:
    """Which files are taken for TLS libraries: by their names, or because the user named them.

    ``named`` are paths as the processes see them.
    """

    def __init__(self, libraries: tuple[TlsLibrary, ...], named: tuple[str, ...] = ()) -> None:
        self._libraries = libraries
        self._named = frozenset(named)
        marks = {library.path_marks[0] for library in libraries} | {path.rpartition("/")[2] for path in named}
        self.marks = tuple(os.fsencode(mark) for mark in sorted(marks))
        """A path whose last component holds none of these is none of them."""

    def contain(self, path: str) -> bool:
        """Whether this path is one of them."""
        return path in self._named or self.library(path) is not None

    def library(self, path: str) -> TlsLibrary | None:
        """The library that a file's name tells; of several the one with the longest marks."""
        name = path.rpartition("/")[2]
        found = [one for one in self._libraries if all(mark in name for mark in one.path_marks)]
        return max(found, key=lambda one: sum(map(len, one.path_marks)), default=None)


class Mapping(NamedTuple):
    """A library file in the memory of a process; the first of its mappings there."""

    pid: int
    address_range: str
    """As /proc/PID/map_files names it."""
    device: str
    """``major:minor`` in hex. On a stacked file system it may differ from what stat says."""
    inode: int
    path: str
    """As the process sees it, without the mark of a deleted file."""

    @property
    def kernel_device(self) -> int:
        """``device`` in the kernel's form (dev_t): 12 bits of major, 20 bits of minor."""
        major, _, minor = self.device.partition(":")
        return int(major, 16) << 20 | int(minor, 16)


def library_mappings(proc: str, pid: int, files: LibraryFiles, *, executable: bool) -> Iterator[Mapping]:
    """Library files that a process maps, each once; only as code where ``executable``."""
    maps = read_bounded(f"{proc}/{pid}/maps", _MAX_MAPS)
    marks = files.marks
    # Most processes map none: one search over the bytes is all that they cost.
    if not any(mark in maps for mark in marks):
        return
    seen = set()
    for line in _lines_with(marks, maps):
        fields = line.split(None, 5)
        if len(fields) != 6 or not fields[4].isdigit() or (executable and b"x" not in fields[1]):
            continue
        path = os.fsdecode(fields[5]).removesuffix(_DELETED)
        file = (fields[3], fields[4], path)
        if file in seen or not files.contain(path):
            continue
        seen.add(file)
        # maps pads short addresses with zeros, map_files does not.
        start, _, end = fields[0].decode("ascii", "replace").partition("-")
        address_range = f"{start.lstrip('0') or '0'}-{end.lstrip('0') or '0'}"
        yield Mapping(pid, address_range, fields[3].decode("ascii", "replace"), int(fields[4]), path)


def _lines_with(marks: tuple[bytes, ...], text: bytes) -> Iterator[bytes]:
    """Lines that hold any of the marks, one after the other; no other is looked at."""
    places = {mark: text.find(mark) for mark in marks}
    while places := {mark: at for mark, at in places.items() if at >= 0}:
        at = min(places.values())
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        yield text[text.rfind(b"\n", 0, at) + 1 : end]
        places = {mark: text.find(mark, end) if place < end else place for mark, place in places.items()}
