# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.references import references, strings
from tests.unit.discovery.locating.conftest import function

CODE = function("f", "lea rdx, name[rip]\n lea rcx, name[rip]\n lea rdx, other[rip]\n ret")
DATA = """
.section .rodata
    .zero 3
other: .asciz "my_name"
name:  .asciz "name"
"""


def test_a_string_is_found_by_its_end_and_every_way_to_refer_to_it(assemble):
    elf = assemble(CODE + DATA)
    addresses = strings(elf, [b"name"])[b"name"]
    assert len(addresses) == len("my_") + 2
    (whole,) = strings(elf, [b"name"], whole=True)[b"name"]
    assert whole == max(addresses)
    assert strings(elf, [b"absent"]) == {b"absent": set()}


def test_the_instructions_that_load_an_address_are_found_by_register(assemble):
    elf = assemble(CODE + DATA)
    (name,) = strings(elf, [b"name"], whole=True)[b"name"]
    (rdx,) = references(elf, {name}, "rdx")
    (rcx,) = references(elf, {name}, "rcx")
    assert (rdx.target, rcx.target) == (name, name)
    assert rcx.address == rdx.address + 7
    assert references(elf, (), "rdx") == []


def test_programs_at_fixed_addresses_load_them_as_numbers(assemble):
    code = function("f", "mov edx, offset name\n mov ecx, offset name\n ret")
    elf = assemble(code + DATA, fixed=True)
    (name,) = strings(elf, [b"name"], whole=True)[b"name"]
    (rdx,) = references(elf, {name}, "rdx")
    (rcx,) = references(elf, {name}, "rcx")
    assert rcx.address == rdx.address + 5


@pytest.mark.parametrize("distance", [1 << 20, (1 << 20) - 3, (1 << 20) + 3])
def test_what_lies_across_two_windows_is_found_once(assemble, distance):
    code = function("f", f".zero {distance}, 0x90\n lea rdx, name[rip]\n ret")
    elf = assemble(code + f'.section .rodata\n .zero {distance}\nname: .asciz "name"\n')
    (name,) = strings(elf, [b"name"], whole=True)[b"name"]
    assert len(references(elf, {name}, "rdx")) == 1


def test_a_file_that_repeats_a_string_or_its_use_without_end_is_refused(assemble):
    with pytest.raises(ElfError, match="without end"):
        strings(assemble('.section .rodata\n.rept 100\n.asciz "name"\n.endr\n'), [b"name"])
    elf = assemble(function("f", ".rept 5000\n lea rdx, name[rip]\n.endr\n ret") + DATA)
    with pytest.raises(ElfError, match="without end"):
        references(elf, strings(elf, [b"name"])[b"name"], "rdx")
