# SPDX-License-Identifier: Apache-2.0
"""Functions by name from the table that Go's runtime unwinds stacks by; ``-s -w`` does not remove it.

Three forms (internal/abi/symtab.go, runtime/symtab.go of the respective releases): of Go 1.16, which 1.17
has too, with absolute 8-byte entries; of 1.18 and of 1.20, with 4-byte entries relative to the text start.
"""

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from otel_qtap.discovery.elf import PT_LOAD, Function
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.golang.image import GoImage

_FORMS = {0xFFFFFFFA: "1.16", 0xFFFFFFF0: "1.18", 0xFFFFFFF1: "1.20"}
_OLD_FORM = "1.16"
_HEADER = struct.Struct("<IHBB8Q")
_QUANTUM, _POINTER_BYTES = 1, 8  # of x86-64
_SECTIONS = (".gopclntab", ".data.rel.ro.gopclntab")
_MAX_FUNCTIONS = 2_000_000
_MAX_CANDIDATES = 4096
"""Places looked at for one name: in an honest file there are a few."""
_RECORD_BYTES = 16
"""As much of a function's record (struct _func) as is needed: its entry and the offset of its name."""


@dataclass(frozen=True, slots=True)
class Pclntab:
    """Where the tables are, as file offsets."""

    offset: int
    form: str
    text: int
    """Text start as the header tells it, 0 where it does not."""
    functions: int
    names: int
    names_end: int
    table: int
    """Pairs (entry, offset of the record from here), sorted, and one more entry: the end of the text."""

    @property
    def width(self) -> int:
        """Bytes of a number in ``table``."""
        return 8 if self.form == _OLD_FORM else 4


def find_pclntab(image: GoImage) -> Pclntab:
    """By its section, else by its header. Raises ElfError where there is none of a known form."""
    section = image.section(*_SECTIONS)
    if section and (found := _at(image, section.offset)):
        return found
    for magic in _FORMS:
        header = struct.pack("<IHBB", magic, 0, _QUANTUM, _POINTER_BYTES)
        for segment in image.elf.segments:
            if segment.kind != PT_LOAD:
                continue
            for place in image.find(header, segment.offset, segment.offset + segment.size):
                if found := _at(image, place):
                    return found
    raise ElfError("no table of Go functions (pclntab) of a known form in it")


def _at(image: GoImage, offset: int) -> Pclntab | None:
    magic, zero, quantum, pointer_bytes, count, _, *rest = _HEADER.unpack(
        image.elf.read(offset, _HEADER.size)
    )
    form = _FORMS.get(magic)
    if form is None or (zero, quantum, pointer_bytes) != (0, _QUANTUM, _POINTER_BYTES):
        return None
    # Numbers of functions and files, then, from 1.18 on, the text start; then the offsets of names, of
    # compilation units, of files, of pc tables and of functions.
    text = 0 if form == _OLD_FORM else rest.pop(0)
    names, units, _, _, table = (offset + part for part in rest[:5])
    if not 0 < count <= _MAX_FUNCTIONS or not offset < names < units < table < image.size:
        return None
    return Pclntab(offset, form, text, count, names, units, table)


class FunctionTable:
    """The functions of one file, at ``text`` (of no account in the old form)."""

    def __init__(self, image: GoImage, tables: Pclntab, text: int) -> None:
        self._image = image
        self._tables = tables
        self._base = 0 if tables.form == _OLD_FORM else text
        numbers = array("Q" if tables.width == 8 else "I")
        numbers.frombytes(image.elf.read(tables.table, (2 * tables.functions + 1) * tables.width))
        self._entries = numbers[::2]
        self._records = numbers[1::2]

    def functions(self, names: Iterable[str]) -> dict[str, Function]:
        """Those of ``names`` that the file has, each proven by the sorted table."""
        return {name: found for name in names if (found := self._function(name))}

    def _function(self, name: str) -> Function | None:
        tables = self._tables
        key = b"\0" + name.encode() + b"\0"
        place = next(self._image.find(key, tables.names - 1, tables.names_end), None)
        if place is None:
            return None
        name_offset = struct.pack("<I", place + 1 - tables.names)
        start = tables.table + (2 * tables.functions + 1) * tables.width
        end = tables.table + max(self._records) + _RECORD_BYTES
        left = _MAX_CANDIDATES
        for found in self._image.find(name_offset, start, end):
            record = found - tables.width - tables.table
            if (index := self._index(record)) is not None:
                first, last = self._entries[index], self._entries[index + 1]
                if last <= first:
                    raise ElfError(f"{name} has no code")
                return Function(name, self._base + first, self._base + last)
            left -= 1
            if not left:
                raise ElfError("its table of Go functions repeats itself without end")
        return None

    def _index(self, record: int) -> int | None:
        """Which function has its record there, if one has."""
        width, table = self._tables.width, self._tables.table
        entry = int.from_bytes(self._image.elf.read(table + record, width), "little")
        index = bisect_left(self._entries, entry, hi=len(self._records))
        if index < len(self._records) and self._entries[index] == entry and self._records[index] == record:
            return index
        return None
