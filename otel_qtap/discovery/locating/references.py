# SPDX-License-Identifier: Apache-2.0
"""Which code takes the address of which string in the data, and in which register."""

import re
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from otel_qtap.discovery.byte_search import positions
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.evidence import Extent

_WINDOW = 1 << 20
"""Bytes of the file held in memory at once."""
_LONGEST_INSTRUCTION = 16
_MAX_STRINGS = 64
_MAX_REFERENCES = 4096
_LONGEST_PREFIX = 300
_PRINTABLE = range(0x21, 0x7F)

# lea reg, [rip+disp32] and mov reg32, imm32 (Intel SDM, volume 2).
_LEA = {"rdx": b"\x48\x8d\x15", "rcx": b"\x48\x8d\x0d", "rdi": b"\x48\x8d\x3d", "rsi": b"\x48\x8d\x35"}
_MOVE = {"rdx": b"\xba", "rcx": b"\xb9", "rdi": b"\xbf", "rsi": b"\xbe"}


class Reference(NamedTuple):
    """An instruction at ``address`` loads ``target`` into a register."""

    address: int
    target: int


def strings(elf: ElfFile, texts: Iterable[bytes], *, whole: bool = False) -> dict[bytes, set[int]]:
    """Addresses to refer to NUL-terminated strings in the file's data by, by what they end with.

    These are the string's start, and each byte of it before the text: linkers share tails. ``whole``:
    nothing comes before the text. Raises ElfError when there are unreasonably many.
    """
    found: dict[bytes, set[int]] = {text: set() for text in texts}
    counts = dict.fromkeys(found, 0)
    for text, offset in _occurrences(elf, found):
        counts[text] += 1
        if counts[text] > _MAX_STRINGS:
            raise ElfError(f"it repeats {text.decode()} without end")
        before = elf.read(max(offset - _LONGEST_PREFIX, 0), min(offset, _LONGEST_PREFIX))
        length = 0
        while length < len(before) and before[-1 - length] in _PRINTABLE:
            length += 1
        address = elf.address_of(offset)
        if address is not None and not (whole and length):
            found[text].update(range(address - length, address + 1))
    return found


def references(elf: ElfFile, targets: Collection[int], register: str) -> list[Reference]:
    """The instructions in the file's code that load the address of one of ``targets`` into this register."""
    if not targets:
        return []
    found: list[Reference] = []
    for address, extent in elf.code_parts():
        for at, window in _windows(elf, [extent]):
            base = address + at - extent.offset
            found += _loads(window, base, targets, _LEA[register])
            if elf.has_fixed_addresses:
                found += _moves(window, base, targets, _MOVE[register])
            if len(found) > _MAX_REFERENCES:
                raise ElfError("its code refers to one string without end")
    return sorted(set(found))


def _loads(window: bytes, base: int, targets: Collection[int], opcode: bytes) -> Iterator[Reference]:
    # Within a window the upper half of the displacement takes few values: the pattern leaves little to do.
    lowest, highest = min(targets) - base - len(window) - 7, max(targets) - base
    seconds = {distance >> 16 & 255 for distance in range(lowest, highest + 0x10000, 0x10000)}
    firsts = {distance >> 24 & 255 for distance in (*range(lowest, highest, 1 << 24), highest)}
    pattern = re.compile(re.escape(opcode) + b".." + _any_of(seconds) + _any_of(firsts), re.DOTALL)
    for match in pattern.finditer(window):
        at = match.start()
        address = base + at
        target = address + 7 + struct.unpack_from("<i", window, at + 3)[0]
        if target in targets:
            yield Reference(address, target)


def _moves(window: bytes, base: int, targets: Collection[int], opcode: bytes) -> Iterator[Reference]:
    pages: dict[int, set[int]] = {}
    for target in targets:
        if 0 <= target < 1 << 32:
            pages.setdefault(target >> 8, set()).add(target & 255)
    places = [_any_of(lows) + re.escape(page.to_bytes(3, "little")) for page, lows in sorted(pages.items())]
    pattern = re.compile(re.escape(opcode) + b"(?:" + b"|".join(places) + b")", re.DOTALL)
    for match in pattern.finditer(window) if places else ():
        yield Reference(base + match.start(), *struct.unpack_from("<I", window, match.start() + 1))


def _any_of(values: Collection[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % value for value in sorted(values)) + b"]"


def _occurrences(elf: ElfFile, texts: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Each text with the file offsets in the data at which it ends a string."""
    last = dict.fromkeys(texts, -1)
    for at, window in _windows(elf, elf.data(), overlap=max(map(len, last), default=0) + 1):
        for text in last:
            for found in positions(window, text + b"\0"):
                if at + found > last[text]:
                    last[text] = at + found
                    yield text, at + found


def _windows(
    elf: ElfFile, extents: list[Extent], overlap: int = _LONGEST_INSTRUCTION
) -> Iterator[tuple[int, bytes]]:
    """(file offset, bytes) of pieces that overlap, so that nothing short is cut in all of them."""
    for offset, size in extents:
        at = offset
        while at < offset + size:
            yield at, elf.read(at, min(_WINDOW + overlap, offset + size - at))
            at += _WINDOW
