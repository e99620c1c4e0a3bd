# SPDX-License-Identifier: Apache-2.0
"""Pointers that the dynamic linker fills in: tables of functions are made of them."""

import struct
from collections.abc import Iterator

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.evidence import Extent

_SHT_RELA, _SHT_RELR = 4, 19
_R_X86_64_RELATIVE = 8
_MOST = 1 << 20
_POINTER = 8


def relative_pointers(elf: ElfFile) -> dict[int, int]:
    """What pointers into the file itself point at, by their places; both are virtual addresses.

    Of relocations with addends and of the packed ones (gABI, "Relative Relocation Table"), whose addends are
    at their places. Raises ElfError when the file cannot be read or has more than a million.
    """
    pointers: dict[int, int] = {}
    for part in elf.sections(_SHT_RELA):
        table = elf.read(part.offset, part.size // 24 * 24)
        for place, info, addend in struct.iter_unpack("<QQq", table):
            if info & 0xFFFFFFFF == _R_X86_64_RELATIVE:
                pointers[place] = addend
        _check(len(pointers))
    for part in elf.sections(_SHT_RELR):
        for place in _packed_places(elf, part):
            (pointers[place],) = struct.unpack("<Q", elf.data_at(place, _POINTER))
            _check(len(pointers))
    return pointers


def _packed_places(elf: ElfFile, part: Extent) -> Iterator[int]:
    following = 0
    for (entry,) in struct.iter_unpack("<Q", elf.read(part.offset, part.size // _POINTER * _POINTER)):
        if entry & 1 == 0:
            yield entry
            following = entry + _POINTER
        else:  # a bitmap of the 63 words that follow
            yield from (following + _POINTER * bit for bit in range(63) if entry >> (bit + 1) & 1)
            following += 63 * _POINTER


def _check(count: int) -> None:
    if count > _MOST:
        raise ElfError("too many relocations")
