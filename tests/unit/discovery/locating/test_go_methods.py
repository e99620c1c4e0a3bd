# SPDX-License-Identifier: Apache-2.0
import subprocess

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.go_methods import locate
from otel_qtap.discovery.plan import SiteKind
from otel_qtap.probes.golang import HANDSHAKES, LIBRARY, READ, WRITE
from otel_qtap.probes.spec import Hook
from tests.support.go_programs import RELEASES, go_program


def located(path, *, public_only=False):
    with ElfFile(str(path)) as elf:
        return locate(elf, LIBRARY, public_only)


def hooks(found, function):
    return [Hook(site.cookie & 0xFF) for site in found.sites if site.function == function]


@pytest.mark.parametrize(
    "which",
    [
        "1.17/stripped",
        "1.20/stripped",
        "1.23/plain",
        "1.26/pie",
        "1.26/external-pie",
        "1.26/no-section-headers",
    ],
)
def test_one_cheap_site_a_direction(which):
    release, build = which.split("/")
    found = located(go_program(release, build))

    assert (found.refusals, found.release) == ((), RELEASES[release])
    assert (hooks(found, READ), hooks(found, WRITE)) == ([Hook.GO_READ], [Hook.GO_WRITE])
    (read,) = (site for site in found.sites if site.function == READ)
    count, conn, slot = read.cookie >> 8 & 0xFF, read.cookie >> 24 & 0xFF, read.cookie >> 48
    assert (count, conn, slot) == (11, 13, 0x78 if release < "1.24" else 0x70), "rcx, rsi, as ever so far"
    for handshake in HANDSHAKES:
        entry, *returns = hooks(found, handshake)
        assert entry is Hook.GO_CALL
        assert set(returns) == {Hook.GO_HANDSHAKE_RETURN}
    assert not any(site.needs_return for site in found.sites)


def test_a_debug_build_is_probed_at_its_entry_and_every_return():
    program = go_program("1.26", "debug")
    found = located(program)

    entry, *returns = (site for site in found.sites if site.function == READ)
    assert (entry.kind, {site.kind for site in returns}) == (SiteKind.ENTRY, {SiteKind.CLASSIC})
    assert {site.instruction for site in returns} == {"ret"}
    listing = subprocess.run(
        ["go", "tool", "objdump", "-s", r"crypto/tls.\(\*Conn\).Read$", program],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert listing.count("\tRET") == len(returns)
    assert hooks(found, WRITE) == [Hook.GO_WRITE]


def test_first_bytes_and_all_returns_where_that_is_asked_for():
    found = located(go_program("1.26", "stripped"), public_only=True)

    assert hooks(found, READ)[0] is hooks(found, WRITE)[0] is Hook.GO_CALL
    assert set(hooks(found, READ)[1:]) == {Hook.GO_READ_RETURN}
    assert set(hooks(found, WRITE)[1:]) == {Hook.GO_WRITE_RETURN}
    assert {site.kind for site in found.sites} == {SiteKind.CLASSIC}


def test_a_program_without_crypto_tls_is_refused(tmp_path):
    path = tmp_path / "program"
    content = go_program("1.26", "stripped").read_bytes()
    path.write_bytes(content.replace(READ.encode() + b"\0", b"a" * len(READ) + b"\0"))
    found = located(path)

    assert found.sites == ()
    assert [refusal.reason for refusal in found.refusals] == [f"its table of Go functions has no {READ}"]


def test_a_file_that_is_not_of_go_is_refused(system_libssl):
    with pytest.raises(ElfError, match="no table of Go functions"):
        located(system_libssl)


@pytest.mark.parametrize("function", [READ, WRITE])
def test_a_program_of_another_calling_convention_is_refused(tmp_path, function):
    source = go_program("1.26", "stripped")
    (site, *_) = (s for s in located(source, public_only=True).sites if s.function == function)
    content = bytearray(source.read_bytes())
    content[site.file_offset : site.file_offset + 4] = b"\x90" * 4
    path = tmp_path / "program"
    path.write_bytes(content)
    found = located(path)

    assert found.sites == ()
    assert "Go 1.17" in found.refusals[0].reason
