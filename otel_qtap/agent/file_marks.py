# SPDX-License-Identifier: Apache-2.0
"""What the kernel side is told of files: that whoever maps one is of interest, or is not."""

import contextlib
import struct
import time
from collections.abc import Collection
from enum import IntEnum
from typing import NamedTuple

from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_items, map_update
from otel_qtap.discovery.inodes import is_same_inode
from otel_qtap.discovery.plan import FileIdentity
from otel_qtap.discovery.scan import KernelFile

_FILE_KEY = struct.Struct("<QIxxxx")
_KNOWN_FILE = struct.Struct("<IxxxxQ")
"""struct qtap_known_file."""


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

    A file without a mark is reported when it is mapped, and the kernel side forgets marks for want of room.
    """

    def __init__(self, session: KernelSession) -> None:
        self._map = session.maps["known_files"]
        self._marks: dict[KernelFile, Mark] = {}

    def given_since(self, file: KernelFile, told_ns: int) -> Mark | None:
        """The mark that this file got after the kernel side told of it: programs map many files at once."""
        mark = self._marks.get(file)
        return mark if mark and told_ns < mark.told_ns else None

    def is_forgotten(self, file: KernelFile) -> None:
        """The kernel side told of this file: it has no mark any more."""
        self._marks.pop(file, None)

    def give(self, file: KernelFile, content: Content, identity: FileIdentity) -> None:
        """Mark a file, unless it is marked so."""
        known = self._marks.get(file)
        if known and known.content is content:
            return
        with contextlib.suppress(OSError):  # without the mark, the file is looked at again
            map_update(self._map, _FILE_KEY.pack(*file), _KNOWN_FILE.pack(content, 0))
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

    def _remove(self, file: KernelFile) -> None:
        with contextlib.suppress(OSError):  # it is not there
            map_delete(self._map, _FILE_KEY.pack(*file))
