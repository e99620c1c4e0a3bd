# SPDX-License-Identifier: Apache-2.0
import struct

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.unwind import NO_UNWIND_TABLE, UnwindTable

AT = 0x2000
"""Address of the header; entries are behind it."""


def table(*functions: tuple[int, int], head: bytes = b"\1\x1b\x03\x3b") -> UnwindTable:
    header = head + bytes(4) + struct.pack("<I", len(functions))
    entries = b""
    for start, size in functions:
        entry = AT + 0x1000 + len(entries)
        header += struct.pack("<ii", start - AT, entry - AT)
        entries += struct.pack("<IIiI", 28, 0, start - entry - 8, size)
    return UnwindTable(AT, header, lambda address, size: entries[address - AT - 0x1000 :][:size])


def test_a_function_is_found_by_any_address_in_it():
    unwind = table((0x1000, 16), (0x1100, 32))
    assert unwind.containing(0x1100) == unwind.containing(0x111F) == (0x1100, 0x1120)
    assert unwind.containing(0x1010) is unwind.containing(0xFFF) is unwind.containing(0x1120) is None
    assert (unwind.size_of(0x1000), unwind.size_of(0x1001)) == (16, 0)


@pytest.mark.parametrize("head", [b"\2\x1b\x03\x3b", b"\1\x1b\x03\x1b", b"\1\x1b\xff\xff", b""])
def test_a_table_of_another_kind_counts_as_empty(head):
    assert table((0x1000, 16), head=head).containing(0x1000) is None
    assert NO_UNWIND_TABLE.containing(0) is None


def test_an_entry_that_is_of_another_function_is_not_believed():
    header = b"\1\x1b\x03\x3b" + bytes(4) + struct.pack("<Iii", 1, 0x1000 - AT, 0x1000)
    entry = struct.pack("<IIiI", 28, 0, 0, 16)
    assert UnwindTable(AT, header, lambda *_: entry).containing(0x1000) is None


def test_every_function_of_a_real_library_is_listed_with_its_size(system_libssl):
    with ElfFile(str(system_libssl)) as elf:
        for function in elf.functions(["SSL_read", "SSL_write", "SSL_new"]).values():
            assert elf.unwind().containing(function.start + 1) == function[1:]
