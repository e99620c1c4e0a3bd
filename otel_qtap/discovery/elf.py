# SPDX-License-Identifier: Apache-2.0
"""Reads what a prober needs of an ELF64 x86-64 file: functions, build-id, code (System V gABI 4.1).

Files are hostile input: every offset is checked, every read is bounded, and whatever is wrong
becomes an ElfError. Pieces are read with pread, not mapped: a mapped file that someone truncates
kills the reader with SIGBUS, and this reader is the privileged process.
"""

import os
import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

from otel_qtap.discovery.errors import ElfError, FileGoneError
from otel_qtap.discovery.evidence import Evidence, Extent, Reads
from otel_qtap.discovery.inodes import identify_open
from otel_qtap.discovery.symbols import SymbolTable
from otel_qtap.discovery.unwind import NO_UNWIND_TABLE, UnwindTable

_ET_EXEC = 2
_EM_X86_64 = 62
PT_LOAD, PT_DYNAMIC, _PT_NOTE, _PT_GNU_EH_FRAME = 1, 2, 4, 0x6474E550
_PF_X, _PF_W = 1, 2
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_RELA, _SHT_DYNSYM = 1, 2, 4, 11
_SHF_ALLOC, _SHF_EXECINSTR = 2, 4
_R_X86_64_JUMP_SLOT, _R_X86_64_GLOB_DAT = 7, 6
_NT_GNU_BUILD_ID = 3

# Far above what real libraries have (a whole Node.js included), and low enough that the worst
# file costs about a second.
_MAX_SEGMENTS = 128
_MAX_SECTIONS = 4096
_MAX_READ = 32 << 20
_MAX_NOTES = 16 << 10
_MAX_SECTION_NAMES = 256 << 10
_MAX_RELOCATIONS = 1 << 20
MAX_FUNCTION = 16 << 10
"""Longest code range taken for one function, in bytes."""

_RELEASE = re.compile(rb"\0OPENSSL_(\d)[._](\d)[._](\d)[a-z]?\0")


class Function(NamedTuple):
    """Code of one function: virtual addresses ``start`` to ``end`` (exclusive)."""

    name: str
    start: int
    end: int


class Segment(NamedTuple):
    """A program header: ``size`` bytes of the file at ``offset`` are mapped at ``address``."""

    kind: int
    flags: int
    offset: int
    address: int
    size: int


class Section(NamedTuple):
    """A section header; ``name`` is an offset in the table of section names."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    entry_size: int


class ElfFile:
    """An open ELF64 little-endian x86-64 file. Use as a context manager.

    Raises ElfError from the constructor and from every method.
    """

    def __init__(self, path: str) -> None:
        try:
            # O_NONBLOCK: a path found in a foreign mount namespace may be a FIFO or a device.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise FileGoneError(f"{path}: cannot be opened: {error}") from None
        self._reads = Reads()
        try:
            identity = identify_open(self._fd)
            if identity is None:
                raise ElfError(f"{path}: not a regular file")
            self.identity = identity
            self._read_headers()
        except BaseException:
            os.close(self._fd)
            raise
        self._headers_read = self._reads
        self.forget()

    def forget(self) -> None:
        """Begin anew with the headers alone: tables take memory, and evidence is of what is read since."""
        self._reads = self._headers_read.copy()
        self._dynamic: SymbolTable | None = None
        self._static: SymbolTable | None = None
        self._unwind: UnwindTable | None = None
        self._starts: list[int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """It is not read any more."""
        os.close(self._fd)

    def fileno(self) -> int:
        """The descriptor that it is read by."""
        return self._fd

    # -- file level ---------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at file offset ``offset``."""
        data = self._read(offset, size)
        self._reads.add(offset, data)
        return data

    def evidence(self) -> Evidence | None:
        """What all that was found out rests on."""
        return self._reads.evidence()

    def confirms(self, evidence: Evidence) -> bool:
        """Whether what was found out about another file holds for this one."""
        try:
            return evidence.holds(self._read)
        except ElfError:
            return False

    def _read(self, offset: int, size: int) -> bytes:
        if size < 0 or size > _MAX_READ or offset < 0 or offset + size > self.identity.size:
            raise ElfError("a part of the file lies outside of it or is too large")
        try:
            data = os.pread(self._fd, size, offset)
        except OSError as error:
            raise ElfError(f"cannot be read: {error}") from None
        if len(data) != size:
            raise ElfError("the file was cut while it was read")
        return data

    def _read_headers(self) -> None:
        head = self.read(0, 64)
        if head[:4] != b"\x7fELF":
            raise ElfError("not an ELF file")
        if head[4] != 2 or head[5] != 1:
            raise ElfError("not a 64-bit little-endian ELF file")
        kind, machine, _, _, phoff, shoff = struct.unpack_from("<HHIQQQ", head, 16)
        self.has_fixed_addresses = kind == _ET_EXEC
        if machine != _EM_X86_64:
            raise ElfError(f"built for machine {machine}; only x86-64 (62) is supported")
        phentsize, phnum, shentsize, shnum, self._names_section = struct.unpack_from("<HHHHH", head, 54)
        if phentsize != 56 or phnum > _MAX_SEGMENTS or shnum > _MAX_SECTIONS or (shnum and shentsize != 64):
            raise ElfError("unusual header sizes")
        self._segments = [
            Segment(kind, flags, offset, address, size)
            for kind, flags, offset, address, _, size, _, _ in struct.iter_unpack(
                "<IIQQQQQQ", self.read(phoff, 56 * phnum)
            )
        ]
        self._sections = [
            Section(name, kind, flags, address, offset, size, link, entry_size)
            for name, kind, flags, address, offset, size, link, _, _, entry_size in struct.iter_unpack(
                "<IIQQQQIIQQ", self.read(shoff, 64 * shnum)
            )
        ]

    @property
    def segments(self) -> Sequence[Segment]:
        """All program headers."""
        return self._segments

    def section(self, name: str) -> Section | None:
        """The first section of this name; None where there is none, or no names."""
        if self._names_section >= len(self._sections):
            return None
        table = self._sections[self._names_section]
        names = self.read(table.offset, min(table.size, _MAX_SECTION_NAMES))
        wanted = name.encode() + b"\0"
        return next((section for section in self._sections if names.startswith(wanted, section.name)), None)

    @property
    def build_id(self) -> str:
        """GNU build-id in hex; empty when the file has none."""
        for segment in self._segments:
            if segment.kind != _PT_NOTE:
                continue
            notes = self.read(segment.offset, min(segment.size, _MAX_NOTES))
            at = 0
            while at + 12 <= len(notes):
                name_size, size, kind = struct.unpack_from("<III", notes, at)
                start = at + 12 + (name_size + 3 & ~3)
                if kind == _NT_GNU_BUILD_ID and notes[at + 12 : at + 16] == b"GNU\0":
                    return notes[start : start + min(size, 64)].hex()
                at = start + (size + 3 & ~3)
        return ""

    @property
    def release(self) -> str:
        """The lowest OpenSSL release that has all symbol versions named here, e.g. ``3.5.0``, or empty."""
        found = _RELEASE.findall(self._dynamic_symbols().strings.replace(b"\0", b"\0\0"))
        return ".".join(part.decode() for part in max(found)) if found else ""

    def data(self) -> list[Extent]:
        """Where constants and variables are, without code; parts that overlap are given once.

        Without section headers that is what is mapped and not as code, or, where linkers put constants and
        code together, all that is mapped.
        """
        found = [
            Extent(section.offset, section.size)
            for section in self._sections
            if section.kind == _SHT_PROGBITS and section.flags & (_SHF_ALLOC | _SHF_EXECINSTR) == _SHF_ALLOC
        ]
        loaded = [segment for segment in self._segments if segment.kind == PT_LOAD]
        if not found and all(segment.flags & (_PF_X | _PF_W) for segment in loaded):
            found = [Extent(segment.offset, segment.size) for segment in loaded]
        elif not found:
            found = [Extent(segment.offset, segment.size) for segment in loaded if not segment.flags & _PF_X]
        return _merged(found, self.identity.size)

    def data_at(self, address: int, size: int) -> bytes:
        """What the file holds for virtual addresses, code or not."""
        for segment in self._segments:
            if segment.kind == PT_LOAD and 0 <= address - segment.address <= segment.size - size:
                return self.read(address - segment.address + segment.offset, size)
        raise ElfError(f"address {address:#x} is in no segment")

    def sections(self, kind: int) -> list[Extent]:
        """Where the sections of this kind (sh_type) are."""
        return [Extent(section.offset, section.size) for section in self._sections if section.kind == kind]

    def symbol_names(self) -> list[tuple[bool, Extent]]:
        """Where the names of symbols are, each with whether that is of exports and imports."""
        found = []
        for kind in (_SHT_DYNSYM, _SHT_SYMTAB):
            section = next((section for section in self._sections if section.kind == kind), None)
            if section and section.link < len(self._sections):
                strings = self._sections[section.link]
                found.append((kind == _SHT_DYNSYM, Extent(strings.offset, strings.size)))
        return found

    def searched_bytes(self) -> int:
        """How much there is to be looked through for what the file may hold, at most: a file with holes has
        tables of any size for nothing."""
        tables = [
            next((section.size for section in self._sections if section.kind == kind), 0)
            for kind in (_SHT_DYNSYM, _SHT_SYMTAB)
        ]
        parts = (*self.data(), *(names for _, names in self.symbol_names()))
        return sum(tables) + sum(part.size for part in parts)

    def defined(self, names: Iterable[str], *, exported: bool) -> set[str]:
        """Of which of these names the file defines functions, by its exports or else by .symtab."""
        symbols = self._dynamic_symbols() if exported else self._static_symbols()
        return set(symbols.find(names))

    def file_offset(self, address: int) -> int:
        """Where in the file the byte at this virtual address is; it must be executable code."""
        segment = self._code_segment(address)
        return address - segment.address + segment.offset

    def code(self, start: int, end: int) -> bytes:
        """Machine code from ``start`` to ``end``, cut at the end of its segment."""
        segment = self._code_segment(start)
        return self.read(self.file_offset(start), min(end, segment.address + segment.size) - start)

    def code_parts(self) -> list[tuple[int, Extent]]:
        """Executable parts of the file, each with its virtual address."""
        return [
            (segment.address, Extent(segment.offset, min(segment.size, self.identity.size - segment.offset)))
            for segment in self._segments
            if segment.kind == PT_LOAD and segment.flags & _PF_X and segment.offset < self.identity.size
        ]

    def code_around(self, address: int, span: int) -> tuple[int, int]:
        """Start and end of the code that is no farther than ``span`` bytes from an address in it."""
        segment = self._code_segment(address)
        return max(address - span, segment.address), min(address + span, segment.address + segment.size)

    def address_of(self, offset: int) -> int | None:
        """The virtual address of what is at this file offset; None when it is not mapped."""
        for segment in self._segments:
            if segment.kind == PT_LOAD and 0 <= offset - segment.offset < segment.size:
                return offset - segment.offset + segment.address
        return None

    def read_at(self, address: int, size: int) -> bytes:
        """``size`` bytes that the file has for this virtual address."""
        for segment in self._segments:
            if segment.kind == PT_LOAD and 0 <= address - segment.address <= segment.size - size:
                return self.read(address - segment.address + segment.offset, size)
        raise ElfError(f"address {address:#x} is not in the file")

    def _code_segment(self, address: int) -> Segment:
        for segment in self._segments:
            inside = address - segment.address
            if segment.kind == PT_LOAD and segment.flags & _PF_X and 0 <= inside < segment.size:
                return segment
        raise ElfError(f"address {address:#x} is not in an executable segment")

    # -- symbols ------------------------------------------------------------------------------

    def _table(self, kind: int) -> SymbolTable:
        for section in self._sections:
            if section.kind == kind and section.entry_size == 24 and section.link < len(self._sections):
                strings = self._sections[section.link]
                if kind == _SHT_SYMTAB and max(section.size, strings.size) > _MAX_READ:
                    break  # hundreds of megabytes of debugging names: as good as stripped
                return SymbolTable(
                    self.read(section.offset, section.size), self.read(strings.offset, strings.size)
                )
        return SymbolTable(b"", b"")

    def _dynamic_symbols(self) -> SymbolTable:
        if self._dynamic is None:
            self._dynamic = self._table(_SHT_DYNSYM)
        return self._dynamic

    def _static_symbols(self) -> SymbolTable:
        if self._static is None:
            self._static = self._table(_SHT_SYMTAB)
        return self._static

    def functions(self, names: Iterable[str]) -> dict[str, Function]:
        """Functions defined in this file by name: exported ones first, then those of .symtab.

        A name with several different addresses is left out: which of them is meant is unknown.
        """
        found: dict[str, Function] = {}
        names = list(names)
        by_name = self._dynamic_symbols().find(names)
        if missing := [name for name in names if name not in by_name]:
            by_name |= self._static_symbols().find(missing)
        for name in names:
            defined = by_name.get(name, ())
            if len({address for address, _ in defined}) == 1:
                address, size = max(defined, key=lambda item: item[1])
                self.file_offset(address)
                if size:
                    found[name] = Function(name, address, address + min(size, MAX_FUNCTION))
                else:
                    found[name] = self.function_at(name, address)
        return found

    def function_at(self, name: str, start: int) -> Function:
        """The function that starts at an address which no symbol names.

        Its end is that of its unwind entry, else the next known start: the range may then hold
        more than the function, and less only where it is cut at MAX_FUNCTION.
        """
        size = self.unwind().size_of(start)
        if not size:
            if self._starts is None:
                self._starts = self._dynamic_symbols().addresses()
            at = bisect_right(self._starts, start)
            size = self._starts[at] - start if at < len(self._starts) else MAX_FUNCTION
        return Function(name, start, start + min(size, MAX_FUNCTION))

    def unwind(self) -> UnwindTable:
        """Which functions .eh_frame lists; empty when the file has no table of them."""
        if self._unwind is None:
            header = [segment for segment in self._segments if segment.kind == _PT_GNU_EH_FRAME][:1]
            self._unwind = (
                UnwindTable(header[0].address, self.read(header[0].offset, header[0].size), self.read_at)
                if header
                else NO_UNWIND_TABLE
            )
        return self._unwind

    def import_slots(self) -> dict[int, str]:
        """GOT slots that hold a function's address, by virtual address: which PLT stub calls what.

        Those of the smaller tables, where there are unreasonably many relocations.
        """
        slots: dict[int, str] = {}
        left = _MAX_RELOCATIONS
        symbols = self._dynamic_symbols()
        tables = [one for one in self._sections if one.kind == _SHT_RELA and one.entry_size == 24]
        for section in sorted(tables, key=lambda one: one.size):
            left -= section.size // 24
            if left < 0:
                break
            table = self.read(section.offset, section.size // 24 * 24)
            for slot, info, _ in struct.iter_unpack("<QQq", table):
                if info & 0xFFFFFFFF in (_R_X86_64_JUMP_SLOT, _R_X86_64_GLOB_DAT) and (
                    name := symbols.name(info >> 32)
                ):
                    slots[slot] = name
        return slots


def _merged(extents: Iterable[Extent], end: int) -> list[Extent]:
    """The same bytes by extents that do not overlap, within a file that ends at ``end``."""
    merged: list[Extent] = []
    for offset, size in sorted(extents):
        ends = min(offset + size, end)
        if merged and (covered := merged[-1].offset + merged[-1].size) >= offset:
            merged[-1] = Extent(merged[-1].offset, max(covered, ends) - merged[-1].offset)
        elif ends > offset:
            merged.append(Extent(offset, ends - offset))
    return merged
