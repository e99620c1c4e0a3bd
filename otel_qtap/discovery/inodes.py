# SPDX-License-Identifier: Apache-2.0
"""Which inode a path leads to, as probes know inodes: one file is one, however many containers show it.

A uprobe sits on the inode below an overlay (d_real_inode of the kernel), while stat(2) of a file on an
overlay gives a device of each mount's own, an inode number that a file keeps when it is copied up into
a container's own layer, and, with ``xino``, other high bits of that number in each mount. The birth
time is passed through from the file below, and a copy is born when it is made: with the number's low
bits it tells one from the other (statx(2), Documentation/filesystems/overlayfs.rst of the kernel).
"""

import ctypes
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from otel_qtap.discovery.plan import FileIdentity

_OVERLAYFS_MAGIC = 0x794C7630
_AT_EMPTY_PATH = 0x1000
_AT_STATX_DONT_SYNC = 0x4000
"""What the kernel has in memory: who serves a file system, a process maybe, need not answer when asked."""
_STATX_BASIC_STATS = 0x7FF
_STATX_BTIME = 0x800
_STATX = struct.Struct("<I24xH2xQQ32xqIi16xqIi8xII")
"""stx_mask, stx_mode, stx_ino, stx_size, stx_btime (s, ns), stx_mtime (s, ns), stx_dev (major, minor)."""
_STRUCT_BYTES = 256
_NUMBER = 0xFFFFFFFF

_libc = ctypes.CDLL(None, use_errno=True)
_V = TypeVar("_V")


def identify(path: str) -> FileIdentity | None:
    """The regular file that a path leads to; None when there is none (any more), or it may not be seen."""
    with suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            return identify_open(descriptor)
        finally:
            os.close(descriptor)
    return None


def identify_open(descriptor: int) -> FileIdentity | None:
    """The regular file of an open descriptor; None when it is of another kind. Raises OSError."""
    buffer = ctypes.create_string_buffer(_STRUCT_BYTES)
    flags = _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC
    _check(_libc.statx(descriptor, b"", flags, _STATX_BASIC_STATS | _STATX_BTIME, buffer))
    mask, mode, inode, size, born_s, born_ns, _, modified_s, modified_ns, _, major, minor = (
        _STATX.unpack_from(buffer)
    )
    if not stat.S_ISREG(mode):
        return None
    return FileIdentity(
        os.makedev(major, minor),
        inode,
        modified_s * 10**9 + modified_ns,
        size,
        birth_ns=born_s * 10**9 + born_ns if mask & _STATX_BTIME else 0,
        # Only file systems without a block device have major number 0.
        is_stacked=major == 0 and _file_system(descriptor) == _OVERLAYFS_MAGIC,
    )


def is_same_inode(one: FileIdentity, other: FileIdentity) -> bool:
    """Whether a probe in the one is a probe in the other."""
    if _fingerprint(one) != _fingerprint(other):
        return False
    if not one.is_stacked and not other.is_stacked:
        return one.device == other.device
    # Without a birth time, this is all there is to tell a copy from its origin.
    return one.birth_ns != 0 or is_unchanged(one, other)


def is_unchanged(one: FileIdentity, other: FileIdentity) -> bool:
    """Whether one inode was not written to between these two looks at it."""
    return (one.mtime_ns, one.size) == (other.mtime_ns, other.size)


class InodeMap(Generic[_V]):
    """Values by inode, each with the identity that it was set with."""

    def __init__(self) -> None:
        self._entries: dict[tuple[int, int], list[tuple[FileIdentity, _V]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def __iter__(self) -> Iterator[tuple[FileIdentity, _V]]:
        """A snapshot: entries may be set and removed meanwhile."""
        return iter([entry for entries in self._entries.values() for entry in entries])

    def __contains__(self, identity: FileIdentity) -> bool:
        return self.get(identity) is not None

    def get(self, identity: FileIdentity) -> tuple[FileIdentity, _V] | None:
        """The identity that this inode was set with, and its value."""
        for entry in self._entries.get(_fingerprint(identity), ()):
            if is_same_inode(entry[0], identity):
                return entry
        return None

    def set(self, identity: FileIdentity, value: _V) -> None:
        """Keep a value for this inode, instead of what was kept before."""
        self.remove(identity)
        self._entries.setdefault(_fingerprint(identity), []).append((identity, value))

    def remove(self, identity: FileIdentity) -> None:
        """Forget this inode, if it is known."""
        self._keep(_fingerprint(identity), lambda known, _: not is_same_inode(known, identity))

    def keep(self, wanted: Callable[[FileIdentity, _V], bool]) -> None:
        """Forget all others than the wanted."""
        for fingerprint in list(self._entries):
            self._keep(fingerprint, wanted)

    def _keep(self, fingerprint: tuple[int, int], wanted: Callable[[FileIdentity, _V], bool]) -> None:
        left = [entry for entry in self._entries.pop(fingerprint, ()) if wanted(*entry)]
        if left:
            self._entries[fingerprint] = left


def _fingerprint(identity: FileIdentity) -> tuple[int, int]:
    return identity.inode & _NUMBER, identity.birth_ns


def _file_system(descriptor: int) -> int:
    """Magic number of an open file's file system (fstatfs(2))."""
    buffer = ctypes.create_string_buffer(_STRUCT_BYTES)
    _check(_libc.fstatfs(descriptor, buffer))
    return int.from_bytes(buffer.raw[:8], "little")


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
