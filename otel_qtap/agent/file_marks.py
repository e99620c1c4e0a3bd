# SPDX-License-Identifier: Apache-2.0
"""What the kernel side is told of files: that whoever maps one is of interest, or is not."""

import contextlib
import struct
import time
from collections.abc import Collection
from enum import IntEnum
from typing import NamedTuple

from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_items, map_lookup, map_update
from otel_qtap.discovery.inodes import is_same_inode, is_unchanged
from otel_qtap.discovery.plan import FileIdentity
from otel_qtap.discovery.scan import KernelFile

_FILE_KEY = struct.Struct("<QIxxxx")
_KNOWN_FILE = struct.Struct("<IxxxxQQQ")
"""struct qtap_known_file."""
_REPORTED = 1
_WORD = (1 << 64) - 1


class Content(IntEnum):
    """What a file was found to be: enum qtap_file_kind."""

    OTHER = 2
    LIBRARY = 3


class Mark(NamedTuple):
    """What the kernel side was told of one file."""

    content: Content
    identity: FileIdentity
    told_ns: int
    """When (boot time)."""


class FileMarks:
    """The map ``known_files``, and what was written there by us.

    A file without a mark is reported when it is mapped. So is one that was written to since it got its mark,
    or that has the number of another one, which is gone. The kernel side forgets marks for want of room.
    """

    def __init__(self, session: KernelSession) -> None:
        self._map = session.maps["known_files"]
        self._marks: dict[KernelFile, Mark] = {}
        self._ignored: dict[KernelFile, Mark] = {}
        """Marks in spite of which a file was reported."""

    def given_since(self, file: KernelFile, told_ns: int) -> Mark | None:
        """The mark that this file got after the kernel side told of it: programs map many files at once."""
        mark = self._marks.get(file)
        return mark if mark and told_ns < mark.told_ns else None

    def is_reported(self, file: KernelFile) -> None:
        """The kernel side told of this file: whatever mark it has is not of it as it is."""
        if mark := self._marks.pop(file, None):
            self._ignored[file] = mark

    def give(self, file: KernelFile, content: Content, identity: FileIdentity) -> None:
        """Mark a file in the state that it was looked at in, unless it is marked so."""
        known = self._marks.get(file)
        if known and known.content is content and is_unchanged(known.identity, identity):
            return
        size, mtime_ns = identity.size, identity.mtime_ns & _WORD
        ignored = self._ignored.pop(file, None)
        if ignored and is_unchanged(ignored.identity, identity):
            # This file system shows another state than its inodes have: the file would be reported for ever.
            size, mtime_ns = self._as_reported(file) or (size, mtime_ns)
        with contextlib.suppress(OSError):  # without the mark, the file is looked at again
            map_update(self._map, _FILE_KEY.pack(*file), _KNOWN_FILE.pack(content, 0, size, mtime_ns))
            now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            self._marks[file] = Mark(content, identity, now)

    def take_back(self, identity: FileIdentity) -> None:
        """Whoever maps this file next is reported, by whatever name the kernel has for it."""
        for file in [file for file, mark in self._marks.items() if is_same_inode(mark.identity, identity)]:
            del self._marks[file]
            self._remove(file)

    def keep_only(self, wanted: Collection[KernelFile]) -> None:
        """Take back all other marks, and forget those that the kernel side forgot."""
        there = {_FILE_KEY.unpack(key): _KNOWN_FILE.unpack(value)[0] for key, value in map_items(self._map)}
        for file in there:
            if file not in wanted:
                self._remove(file)
        self._marks = {
            file: mark
            for file, mark in self._marks.items()
            if file in wanted and there.get(file) == mark.content
        }
        self._ignored.clear()

    def _as_reported(self, file: KernelFile) -> tuple[int, int] | None:
        """Size and time of modification that the kernel's own inode has."""
        with contextlib.suppress(OSError):  # it was forgotten meanwhile
            value = map_lookup(self._map, _FILE_KEY.pack(*file), _KNOWN_FILE.size)
            kind, _, size, mtime_ns = _KNOWN_FILE.unpack(value)
            return (size, mtime_ns) if kind == _REPORTED else None
        return None

    def _remove(self, file: KernelFile) -> None:
        with contextlib.suppress(OSError):  # it is not there
            map_delete(self._map, _FILE_KEY.pack(*file))
