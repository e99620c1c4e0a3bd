# SPDX-License-Identifier: Apache-2.0
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.boringssl import locate
from otel_qtap.probes.boringssl import LIBRARY
from otel_qtap.probes.spec import Count, Hook, ObjectLayout
from tests.support.packages import wheel
from tests.support.stripping import without_sections
from tests.unit.discovery.locating.conftest import EDITS, damaged, function

DATA = """
put_error: ret
copy: ret
.section .rodata
file: .asciz "ssl/ssl_lib.cc"
"""
SAVE = "push rbx\n mov rbx, rdi\n"
LEAVE = "pop rbx\n ret"
CONSUME = "add [rax+0x80], rbx\n"


def error(reason: int, line: int) -> str:
    return f"lea rcx, file[rip]\n mov edi, 16\n mov edx, {reason}\n mov r8d, {line}\n call put_error\n"


BODIES = {
    "read_impl": SAVE + error(226, 100) + error(215, 110) + LEAVE,
    "read": SAVE + error(66, 120) + "call read_impl\n" + CONSUME + LEAVE,
    "peek": SAVE + error(66, 130) + "call read_impl\n call copy\n" + LEAVE,
    "write": SAVE + error(66, 139) + error(226, 140) + error(215, 150) + LEAVE,
    "shutdown": SAVE + error(226, 160) + LEAVE,
    "early": SAVE + error(66, 90) + LEAVE,
}


def located(elf: ElfFile) -> dict[str, int]:
    return {found.name: found.start for found, _ in locate(elf, LIBRARY, False).functions}


@pytest.fixture
def file_of(assemble):
    """A stripped file with these functions, and the addresses of them."""

    def file_of(bodies: dict[str, str]):
        source = "".join(function(name, body) for name, body in bodies.items()) + DATA
        named = assemble(source, symbols=True)
        return assemble(source), {name: found.start for name, found in named.functions(bodies).items()}

    return file_of


def test_read_and_write_are_told_by_the_reasons_they_fail_for(file_of):
    elf, addresses = file_of(BODIES)
    assert located(elf) == {"SSL_read": addresses["read"], "SSL_write": addresses["write"]}


def test_the_order_of_functions_in_the_file_does_not_matter(file_of):
    elf, addresses = file_of(dict(reversed(BODIES.items())))
    assert located(elf) == {"SSL_read": addresses["read"], "SSL_write": addresses["write"]}


def test_a_read_that_peeks_is_found_through_the_peek(file_of):
    elf, addresses = file_of({**BODIES, "read": SAVE + "call peek\n" + CONSUME + LEAVE})
    assert located(elf) == {"SSL_read": addresses["read"], "SSL_write": addresses["write"]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"write": SAVE + error(226, 140) + LEAVE}, "1 functions look like SSL_write"),
        ({"other": BODIES["write"]}, "3 functions look like SSL_write"),  # a second copy of the library
        ({"read": BODIES["peek"]}, "0 functions look like SSL_read"),
        ({"peek": BODIES["read"]}, "2 functions look like SSL_read"),
        ({"read": SAVE + error(66, 120) + CONSUME + LEAVE}, "0 functions look like SSL_read"),
        ({"peek2": BODIES["peek"]}, "3 functions look like SSL_read or SSL_peek"),
    ],
)
def test_what_is_not_certain_is_refused_with_the_reason(file_of, change, reason):
    elf, _ = file_of({**BODIES, **change})
    found = locate(elf, LIBRARY, False)
    assert found.functions == ()
    (refusal,) = found.refusals
    assert refusal.function == "boringssl"
    assert reason in refusal.reason


def test_a_file_without_its_source_names_does_not_hold_it(assemble):
    found = locate(assemble(function("f", "ret")), LIBRARY, False)
    assert (found.functions, found.refusals[0].reason) == ((), "the file does not name ssl/ssl_lib.cc")


def test_symbols_are_taken_where_they_are(assemble):
    source = function("SSL_read", BODIES["peek"]) + function("SSL_write", BODIES["write"])
    elf = assemble(source + function("read_impl", BODIES["read_impl"]) + DATA, symbols=True)
    found = locate(elf, LIBRARY, False)
    assert [(one.name, probe.hook, probe.count) for one, probe in found.functions] == [
        ("SSL_read", Hook.READ, Count.RC),
        ("SSL_write", Hook.WRITE, Count.RC),
    ]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_a_damaged_file_raises_nothing_but_elf_errors(file_of, tmp_path, edits):
    if not (tmp_path / "whole").exists():
        elf, _ = file_of(BODIES)
        (tmp_path / "whole").write_bytes(elf.read(0, elf.identity.size))
    path = damaged((tmp_path / "whole").read_bytes(), edits, tmp_path / "damaged")
    with suppress(ElfError), ElfFile(str(path)) as elf:
        locate(elf, LIBRARY, False)


RANDOMS = ObjectLayout(randoms=48, client_random=48, server_random=16)


def test_a_stripped_copy_of_a_real_file_gives_the_answer_of_its_symbols(tmp_path):
    (path,) = wheel("curl_cffi", "0.17.0").glob("curl_cffi/*.so")
    with ElfFile(str(path)) as elf:
        named = locate(elf, LIBRARY, False)
        truth = {name: one.start for name, one in elf.functions(["SSL_read", "SSL_write"]).items()}
    assert named.layout == ObjectLayout(role=164, role_mask=1, randoms=48, client_random=48, server_random=16)
    with ElfFile(str(without_sections(path, tmp_path / "stripped"))) as elf:
        assert located(elf) == truth
        assert locate(elf, LIBRARY, False).layout == RANDOMS
    with ElfFile(str(without_sections(path, tmp_path / "bare", unwind_table=False))) as elf:
        assert located(elf) in ({}, truth)


def test_a_real_file_that_was_never_named_gives_what_was_seen_to_work(tmp_path):
    (path,) = wheel("grpcio", "1.85.3").glob("grpc/_cython/*.so")
    with ElfFile(str(path)) as elf:
        assert located(elf) == {"SSL_read": 0xBB5380, "SSL_write": 0xBB35A0}
        assert locate(elf, LIBRARY, False).layout == RANDOMS
    with ElfFile(str(without_sections(path, tmp_path / "bare", unwind_table=False))) as elf:
        assert located(elf) == {}
