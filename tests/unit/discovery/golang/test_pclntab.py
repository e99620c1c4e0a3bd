# SPDX-License-Identifier: Apache-2.0
import random
import struct
import subprocess
from contextlib import suppress

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.golang.image import GoImage
from otel_qtap.discovery.golang.moduledata import text_start
from otel_qtap.discovery.golang.pclntab import FunctionTable, find_pclntab
from otel_qtap.probes.golang import HANDSHAKES, READ, WRITE
from tests.support.go_programs import go_program

METHODS = (READ, WRITE, *HANDSHAKES)


def functions(image, names=METHODS):
    tables = find_pclntab(image)
    return FunctionTable(image, tables, text_start(image, tables)).functions(names)


@pytest.mark.parametrize("which", ["1.23/plain", "1.26/debug"])
def test_functions_are_where_the_symbol_table_has_them(open_go, which):
    path = go_program(*which.split("/"))
    lines = subprocess.run(["go", "tool", "nm", path], capture_output=True, text=True, check=True).stdout
    symbols = (line.split(None, 2) for line in lines.splitlines() if not line.lstrip().startswith("U "))
    known = {
        name: int(address, 16)
        for address, kind, name in symbols
        if kind in "Tt" and name.startswith("crypto/tls.(*Conn).")
    }
    found = functions(open_go(which), known)

    assert {name: function.start for name, function in found.items()} == known
    assert len(known) > 40


@pytest.mark.parametrize(
    ("which", "form"),
    [
        ("1.17/stripped", "1.16"),
        ("1.20/stripped", "1.20"),
        ("1.26/pie", "1.20"),
        ("1.26/external-pie", "1.20"),
        ("1.26/no-section-headers", "1.20"),
    ],
)
def test_functions_are_found_without_symbols(open_go, which, form):
    image = open_go(which)

    assert find_pclntab(image).form == form
    found = functions(image)
    assert set(found) == set(METHODS)
    for function in found.values():
        assert 100 < function.end - function.start < 8192
        image.elf.file_offset(function.start)


def test_names_that_are_parts_of_others_are_not_taken_for_them(open_go):
    assert not functions(open_go("1.26/stripped"), ["tls.(*Conn).Read", "crypto/tls.(*Conn).Rea"])


def test_a_file_without_the_table_is_refused(system_libssl):
    with ElfFile(str(system_libssl)) as elf, pytest.raises(ElfError, match="no table of Go functions"):
        find_pclntab(GoImage(elf))


def test_a_table_of_an_unknown_form_is_refused(open_go, tmp_path):
    content = bytearray(go_program("1.26", "stripped").read_bytes())
    struct.pack_into("<I", content, find_pclntab(open_go("1.26/stripped")).offset, 0xFFFFFFF2)

    with opened(tmp_path, content) as elf, pytest.raises(ElfError, match="known form"):
        find_pclntab(GoImage(elf))


def test_damaged_tables_are_refused_or_have_less(open_go, tmp_path):
    """Whatever is in the tables, an answer comes, and soon."""
    content = go_program("1.26", "stripped").read_bytes()
    tables = find_pclntab(open_go("1.26/stripped"))
    chance = random.Random(1)
    for _ in range(30):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 3, 200))):
            place = chance.choice(
                (tables.offset + chance.randrange(80), chance.randrange(tables.offset, tables.table))
            )
            damaged[place : place + 4] = chance.randbytes(4)
        with opened(tmp_path, damaged) as elf, suppress(ElfError):
            functions(GoImage(elf))


def test_a_table_of_records_that_repeat_one_name_is_given_up(open_go, tmp_path):
    image = open_go("1.26/stripped")
    tables = find_pclntab(image)
    read = next(image.find(b"\0" + READ.encode() + b"\0", tables.names, tables.names_end)) + 1 - tables.names
    content = bytearray(go_program("1.26", "stripped").read_bytes())
    start = tables.table + (2 * tables.functions + 1) * 4
    content[start : start + 80_000] = struct.pack("<I", read) * 20_000

    with opened(tmp_path, content) as elf, pytest.raises(ElfError, match="repeats itself"):
        functions(GoImage(elf))


def opened(tmp_path, content):
    path = tmp_path / "program"
    path.write_bytes(content)
    return ElfFile(str(path))
