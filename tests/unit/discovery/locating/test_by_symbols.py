# SPDX-License-Identifier: Apache-2.0
import struct

import pytest

from otel_qtap.discovery.analysis import analyse
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.plan import SiteKind
from otel_qtap.probes.openssl import LIBRARY
from otel_qtap.probes.spec import Count, Hook, ObjectLayout

PUSH = b"\x55\x5d\xc3"  # push rbp; pop rbp; ret
BLOCK = 16


def layout(**functions: bytes | tuple[str, ...]) -> dict[str, bytes]:
    """Functions in blocks of 16 bytes; a tuple of names is code that calls these in order."""
    order = list(functions)
    out = {}
    for name, body in functions.items():
        code = b""
        if isinstance(body, tuple):
            for target in body:
                at = order.index(name) * BLOCK + len(code)
                code += b"\xe8" + struct.pack("<i", order.index(target) * BLOCK - at - 5)
            code += b"\xc3"
        else:
            code = body
        out["." + name if name.startswith("hidden") else name] = code.ljust(BLOCK, b"\x90")
    return out


@pytest.fixture
def analysis_of(make_elf, tmp_path):
    def analysis_of(functions: dict[str, bytes], **options):
        path = tmp_path / "libssl-test.so"
        path.write_bytes(make_elf(functions, **options))
        with ElfFile(str(path)) as elf:
            return analyse(elf, LIBRARY)

    return analysis_of


def probed(analysis) -> set[str]:
    return {site.function for site in analysis.sites}


def counts(analysis) -> dict[str, tuple[Hook, Count]]:
    return {
        site.function: (Hook(site.cookie & 255), Count(site.cookie >> 8 & 255)) for site in analysis.sites
    }


STRIPPED = layout(
    hidden_read=PUSH,
    hidden_write=PUSH,
    SSL_read=("hidden_read",),
    SSL_read_ex=("hidden_read",),
    SSL_write=("hidden_write",),
    SSL_write_ex=("hidden_write",),
    SSL_peek=PUSH,
)


def test_the_inner_functions_of_a_stripped_file_are_found_through_their_callers(analysis_of):
    found = analysis_of(STRIPPED)
    assert counts(found) == {
        "ssl_read_internal": (Hook.READ, Count.ARG4),
        "ssl_write_internal": (Hook.WRITE, Count.ARG4),
    }
    assert all(site.kind is SiteKind.PAIR and site.needs_return for site in found.sites)


def test_where_write_ex2_exists_the_count_is_the_fifth_argument(analysis_of):
    functions = layout(
        hidden_write=PUSH,
        SSL_write=("hidden_write",),
        SSL_write_ex=("SSL_write_ex2",),
        SSL_write_ex2=("hidden_write",),
    )
    assert counts(analysis_of(functions)) == {"ssl_write_internal": (Hook.WRITE, Count.ARG5)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"SSL_read": PUSH}, "SSL_read does not reach it"),
        ({"SSL_peek": ("hidden_read",)}, "SSL_peek reaches it too"),
        ({"SSL_read_ex": b"\x31\xff\xc3"}, "passes its arguments on to no function"),
        ({"SSL_read_ex": ("SSL_read",)}, "another public function"),
    ],
)
def test_an_inner_function_on_which_the_callers_disagree_is_refused(analysis_of, change, reason):
    names = {
        "hidden_read": PUSH,
        "SSL_read": ("hidden_read",),
        "SSL_read_ex": ("hidden_read",),
        "SSL_peek": PUSH,
    }
    found = analysis_of(layout(**{**names, **change}))
    assert "ssl_read_internal" not in probed(found)
    assert "SSL_read" in probed(found)
    (refusal,) = [refusal for refusal in found.refusals if refusal.function == "ssl_read_internal"]
    assert reason in refusal.reason


def test_a_named_inner_function_is_refused_where_a_public_one_has_its_own_copy(analysis_of):
    functions = layout(ssl_read_internal=PUSH, SSL_read=PUSH, SSL_read_ex=("ssl_read_internal",))
    found = analysis_of(functions)
    assert counts(found) == {
        "SSL_read": (Hook.READ, Count.RC),
        "SSL_read_ex": (Hook.READ, Count.ARG4),
    }


def test_of_two_public_functions_that_call_each_other_only_the_last_is_probed(analysis_of):
    functions = layout(SSL_write=PUSH, SSL_write_ex=("SSL_write_ex2",), SSL_write_ex2=PUSH)
    assert counts(analysis_of(functions)) == {
        "SSL_write": (Hook.WRITE, Count.RC),
        "SSL_write_ex2": (Hook.WRITE, Count.ARG5),
    }


def test_openssl_1_1_0_has_the_public_functions_only(analysis_of):
    found = analysis_of(layout(SSL_read=PUSH, SSL_write=PUSH, SSL_free=PUSH))
    assert probed(found) == {"SSL_read", "SSL_write", "SSL_free"}
    assert "ssl_read_internal" not in {refusal.function for refusal in found.refusals}


def test_a_file_without_data_functions_is_refused_as_a_whole(analysis_of):
    found = analysis_of(layout(SSL_free=PUSH, PR_Read=PUSH))
    assert found.sites == ()
    assert [refusal.function for refusal in found.refusals] == ["openssl"]


def test_the_offset_of_the_role_is_part_of_the_layout(analysis_of):
    found = analysis_of(layout(SSL_read=PUSH, SSL_is_server=b"\x8b\x47\x38\xc3"))
    assert found.layout == ObjectLayout(role=0x38)


@pytest.mark.parametrize("wheel", ["psycopg2-binary", "psycopg-binary", "pycurl", "pymssql"])
def test_every_hook_of_a_real_library_has_a_cheap_site(wheel, wheel_libssl):
    with ElfFile(str(wheel_libssl(wheel))) as elf:
        found = analyse(elf, LIBRARY)
        newer = elf.release >= "3.3"
    assert found.refusals == ()
    assert (found.layout.role, found.layout.client_random) != (None, None)
    assert probed(found) == {
        "ssl_read_internal",
        "ssl_write_internal",
        *(probe.symbol for probe in LIBRARY.lifecycle),
    }
    assert {site.kind for site in found.sites} == {SiteKind.PAIR}
    assert counts(found)["ssl_write_internal"][1] is (Count.ARG5 if newer else Count.ARG4)


def test_stripping_symbols_does_not_change_the_answer(wheel_libssl, tmp_path):
    whole = wheel_libssl("pycurl").read_bytes()
    (sections,) = struct.unpack_from("<Q", whole, 40)
    (count,) = struct.unpack_from("<H", whole, 60)
    stripped = bytearray(whole)
    for at in range(sections, sections + 64 * count, 64):
        if struct.unpack_from("<I", whole, at + 4)[0] == 2:  # SHT_SYMTAB
            struct.pack_into("<I", stripped, at + 4, 0)
    assert bytes(stripped) != whole
    (tmp_path / "libssl.so").write_bytes(stripped)
    with ElfFile(str(wheel_libssl("pycurl"))) as elf:
        expected = analyse(elf, LIBRARY)
    with ElfFile(str(tmp_path / "libssl.so")) as elf:
        assert not elf.functions(["ssl_read_internal"])
        assert analyse(elf, LIBRARY)._replace(evidence=None) == expected._replace(evidence=None)
