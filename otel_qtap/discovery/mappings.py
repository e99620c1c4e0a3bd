# SPDX-License-Identifier: Apache-2.0
"""Which library files a process has in its memory (proc_pid_maps(5))."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from otel_qtap.discovery.bounded import read_bounded
from otel_qtap.probes.spec import TlsLibrary

_MAX_MAPS = 32 << 20
_DELETED = " (deleted)"


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
    library: TlsLibrary


def library_of(path: str, libraries: tuple[TlsLibrary, ...]) -> TlsLibrary | None:
    """The library that a file is, by its name alone."""
    name = path.rpartition("/")[2]
    for library in libraries:
        if all(mark in name for mark in library.path_marks):
            return library
    return None


def library_mappings(
    proc: str, pid: int, libraries: tuple[TlsLibrary, ...], *, executable: bool
) -> Iterator[Mapping]:
    """Library files that a process maps, each once; only as code where ``executable``."""
    maps = read_bounded(f"{proc}/{pid}/maps", _MAX_MAPS)
    marks = [library.path_marks[0].encode() for library in libraries]
    # Most processes map none: one search over the bytes is all that they cost.
    if not any(mark in maps for mark in marks):
        return
    seen = set()
    for line in maps.split(b"\n"):
        if not any(mark in line for mark in marks):
            continue
        fields = line.split(None, 5)
        if len(fields) != 6 or not fields[4].isdigit() or (executable and b"x" not in fields[1]):
            continue
        path = os.fsdecode(fields[5]).removesuffix(_DELETED)
        library = library_of(path, libraries)
        file = (fields[3], fields[4], path)
        if library is None or file in seen:
            continue
        seen.add(file)
        # maps pads short addresses with zeros, map_files does not.
        start, _, end = fields[0].decode("ascii", "replace").partition("-")
        address_range = f"{start.lstrip('0') or '0'}-{end.lstrip('0') or '0'}"
        device = fields[3].decode("ascii", "replace")
        yield Mapping(pid, address_range, device, int(fields[4]), path, library)
