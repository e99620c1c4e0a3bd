# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.locating.boundaries import function_of
from otel_qtap.discovery.locating.references import references, strings
from tests.unit.discovery.locating.conftest import function

DATA = '.section .rodata\nname: .asciz "name"\n'
BODY = "push rbx\n mov rbx, rdi\n lea rdx, name[rip]\n pop rbx\n ret"
PADDED = """
    .zero 32, 0xcc
    .p2align 4, 0xcc
start:
    {body}
    .zero 4, 0xcc
    .p2align 4, 0xcc
"""


def site(elf: ElfFile) -> int:
    (reference,) = references(elf, strings(elf, [b"name"])[b"name"], "rdx")
    return reference.address


def test_the_unwind_table_tells_start_and_end(assemble):
    elf = assemble(function("other", "mov rax, rdi\n ret") + function("f", BODY) + DATA)
    found = function_of(elf, site(elf))
    assert found.start == site(elf) - 4
    assert found.end == site(elf) + 7 + 2


def test_the_unlikely_part_of_a_function_is_none(assemble):
    elf = assemble(function("f_cold", "lea rdx, name[rip]\n mov rdi, rbx\n ret") + DATA)
    assert function_of(elf, site(elf)) is None


def test_without_unwind_table_padding_by_int3_tells_the_start(assemble):
    elf = assemble(PADDED.format(body=BODY) + DATA, unwind=False)
    found = function_of(elf, site(elf))
    assert found.start == site(elf) - 4
    assert found.end == site(elf) + 7 + 2


@pytest.mark.parametrize(
    "code",
    [
        f"start: {BODY}\n",  # the first in the file, with no padding before it
        PADDED.format(body=BODY).replace("0xcc", "0x90"),  # padding that may be a loop's
        # not reached from where it seems to start
        PADDED.format(body="mov rax, rdi\n ret\n .p2align 4, 0x90\n" + BODY),
        # two functions without padding between them, of which the first ends with a jump to the second
        PADDED.format(body="mov rax, rdi\n .zero 8, 0x90\n jmp 1f\n .p2align 4\n 1: " + BODY),
    ],
    ids=["no padding", "nops", "not reached", "adjacent"],
)
def test_a_start_that_is_not_certain_is_none(assemble, code):
    elf = assemble(code + DATA, unwind=False)
    assert function_of(elf, site(elf)) is None
