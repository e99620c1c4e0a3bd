# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.error_sites import ErrorSite, error_sites
from otel_qtap.discovery.locating.references import references, strings
from tests.unit.discovery.locating.conftest import function

DATA = """
put_error: ret
.section .rodata
file: .asciz "/src/ssl/ssl_lib.cc"
"""


def sites(elf: ElfFile) -> list[ErrorSite]:
    found = references(elf, strings(elf, [b"ssl/ssl_lib.cc"])[b"ssl/ssl_lib.cc"], "rcx")
    return error_sites(elf, found, frozenset({226, 215}))


@pytest.mark.parametrize(
    "order",
    [
        "mov edx, 226\n mov r8d, 700\n lea rcx, file[rip]\n mov edi, 16",
        "lea rcx, file[rip]\n mov edi, 16\n mov edx, 226\n mov r8d, 700",
        "mov r8d, 700\n lea rcx, file[rip]\n xor esi, esi\n mov edx, 226",
    ],
)
def test_reason_and_line_are_read_in_any_order(assemble, order):
    elf = assemble(
        function("f", f"push rbx\n mov rbx, rdi\n {order}\n call put_error\n pop rbx\n ret") + DATA
    )
    (site,) = sites(elf)
    assert (site.reason, site.line) == (226, 700)
    assert site.function.end > site.function.start


@pytest.mark.parametrize(
    "body",
    [
        "mov edx, 99\n mov r8d, 700\n lea rcx, file[rip]\n call put_error",  # another reason
        "mov edx, 226\n lea rcx, file[rip]\n call put_error",  # no line
        # the reason of the site before
        "mov edx, 226\n mov r8d, 1\n call put_error\n mov r8d, 700\n lea rcx, file[rip]\n call put_error",
    ],
)
def test_anything_else_is_no_site(assemble, body):
    assert sites(assemble(function("f", f"mov rax, rdi\n {body}\n ret") + DATA)) == []


def test_a_file_of_nothing_but_sites_is_refused(assemble):
    body = "mov rax, rdi\n mov edx, 226\n mov r8d, 700\n lea rcx, file[rip]\n call put_error\n ret"
    elf = assemble("".join(function(f"f{number}", body) for number in range(100)) + DATA)
    with pytest.raises(ElfError, match="too many"):
        sites(elf)


def test_a_site_in_code_of_which_the_function_is_not_known_is_left_out(assemble):
    body = "mov rdi, rbx\n mov edx, 226\n mov r8d, 700\n lea rcx, file[rip]\n call put_error\n ret"
    assert sites(assemble(function("f", body) + DATA)) == []
