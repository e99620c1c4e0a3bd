# SPDX-License-Identifier: Apache-2.0
"""Which files a process has in its memory as code (proc_pid_maps(5))."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from otel_qtap.discovery.bounded import read_bounded

_MAX_MAPS = 32 << 20
_DELETED = " (deleted)"
_LINE = rb"^([0-9a-f]+-[0-9a-f]+) %b [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+) %b +(/.*)$"
_CODE = re.compile(_LINE % (rb"..x.", rb"([1-9][0-9]*)"), re.MULTILINE)


class Mapping(NamedTuple):
    """A file in the memory of a process; the first of its mappings there."""

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


def read_maps(proc: str, pid: int) -> bytes:
    """The memory map of a process as text; empty when there is none (any more)."""
    return read_bounded(f"{proc}/{pid}/maps", _MAX_MAPS)


def code_mappings(maps: bytes, pid: int) -> Iterator[Mapping]:
    """Files that a process maps as code, each once."""
    return _mappings(_CODE, maps, pid)


def inode_mappings(maps: bytes, pid: int, inodes: Iterable[int]) -> Iterator[Mapping]:
    """Files with these inode numbers that a process maps, as code or not, each once."""
    # A dynamic linker maps the head of a library read-only before it maps the code.
    numbers = b"|".join(b"%d" % inode for inode in inodes)
    return _mappings(re.compile(_LINE % (rb"....", rb"(%b)" % numbers), re.MULTILINE), maps, pid)


def _mappings(lines: re.Pattern[bytes], maps: bytes, pid: int) -> Iterator[Mapping]:
    seen = set()
    for addresses, device, inode, path in lines.findall(maps):
        file = (device, inode, path)
        if file in seen:
            continue
        seen.add(file)
        # maps pads short addresses with zeros, map_files does not.
        start, _, end = addresses.decode().partition("-")
        address_range = f"{start.lstrip('0') or '0'}-{end.lstrip('0') or '0'}"
        shown = os.fsdecode(path).removesuffix(_DELETED)
        yield Mapping(pid, address_range, device.decode(), int(inode), shown)
