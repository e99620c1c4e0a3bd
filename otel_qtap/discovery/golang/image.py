# SPDX-License-Identifier: Apache-2.0
"""A Go executable by file offset and by virtual address, its pointers as the dynamic linker leaves them."""

import struct
from collections.abc import Iterator

from otel_qtap.discovery.elf import PT_DYNAMIC, PT_LOAD, ElfFile, Section
from otel_qtap.discovery.errors import ElfError

_PIECE = 4 << 20
_MAX_SEARCHED = 1 << 30
"""Bytes searched in one file before it is refused: about a second."""
_MAX_DYNAMIC = 64 << 10
_DT_RELA, _DT_RELASZ = 7, 8
_RELOCATION = struct.Struct("<QQq")
_R_X86_64_RELATIVE = 8


class GoImage:
    """Bytes and pointers of an open file. Every method raises ElfError for what the file has not."""

    def __init__(self, elf: ElfFile) -> None:
        self.elf = elf
        self.size = elf.identity.size
        self._left = _MAX_SEARCHED
        self._relocations: bytes | None = None

    def section(self, *names: str) -> Section | None:
        """The first of these sections that there is."""
        return next((found for name in names if (found := self.elf.section(name))), None)

    def find(self, pattern: bytes, start: int, end: int) -> Iterator[int]:
        """File offsets of all places with ``pattern`` that lie in ``start`` to ``end``, ascending."""
        end = min(end, self.size)
        while start + len(pattern) <= end:
            piece = self.elf.read(start, min(_PIECE, end - start))
            self._left -= len(piece)
            if self._left < 0:
                raise ElfError("it is too large to be searched")
            at = piece.find(pattern)
            while at >= 0:
                yield start + at
                at = piece.find(pattern, at + 1)
            start += len(piece) - len(pattern) + 1

    def offset(self, address: int) -> int:
        """Where in the file the byte at this virtual address is."""
        for segment in self.elf.segments:
            if segment.kind == PT_LOAD and 0 <= address - segment.address < segment.size:
                return address - segment.address + segment.offset
        raise ElfError(f"address {address:#x} is not in the file")

    def address(self, offset: int) -> int:
        """The virtual address of the byte at this place in the file."""
        found = self.elf.address_of(offset)
        if found is None:
            raise ElfError(f"file offset {offset:#x} is not mapped")
        return found

    def number(self, address: int) -> int:
        """The eight bytes at a virtual address as they are in the file."""
        return int.from_bytes(self.elf.read(self.offset(address), 8), "little")

    def pointer(self, address: int) -> int:
        """The pointer at a virtual address before any load bias: in the file, or in a relocation's addend."""
        value = self.number(address)
        if value:
            return value
        table, key = self._relative_relocations(), struct.pack("<Q", address)
        at = table.find(key)
        while at >= 0:
            if at % _RELOCATION.size == 0:
                _, kind, addend = _RELOCATION.unpack_from(table, at)
                return int(addend) if kind == _R_X86_64_RELATIVE and addend > 0 else 0
            at = table.find(key, at + 1)
        return 0

    def pointers_to(self, target: int, limit: int) -> Iterator[int]:
        """Where at most ``limit`` words are that point to ``target``: relocated ones, then plain ones."""
        key = struct.pack("<Q", target)
        table = self._relative_relocations()
        at = table.find(key)
        while at >= 0 and limit:
            if at % _RELOCATION.size == 16:
                limit -= 1
                yield _RELOCATION.unpack_from(table, at - 16)[0]
            at = table.find(key, at + 1)
        for segment in self.elf.segments:
            if segment.kind != PT_LOAD:
                continue
            for offset in self.find(key, segment.offset, segment.offset + segment.size):
                if offset % 8 == 0:
                    if not limit:
                        return
                    limit -= 1
                    yield self.address(offset)

    def _relative_relocations(self) -> bytes:
        """The relocation table that the dynamic linker applies, empty where there is none."""
        if self._relocations is None:
            self._relocations = b""
            for segment in self.elf.segments:
                if segment.kind == PT_DYNAMIC:
                    size = min(segment.size, _MAX_DYNAMIC) // 16 * 16
                    entries = dict(struct.iter_unpack("<QQ", self.elf.read(segment.offset, size)))
                    if _DT_RELA in entries:
                        start = self.offset(entries[_DT_RELA])
                        self._relocations = self.elf.read(start, entries.get(_DT_RELASZ, 0))
        return self._relocations
