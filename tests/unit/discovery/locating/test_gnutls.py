# SPDX-License-Identifier: Apache-2.0
import struct

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.locating.gnutls import locate
from otel_qtap.discovery.recognition import recognise
from otel_qtap.discovery.sites import probe_site
from otel_qtap.probes.gnutls import LIBRARY
from tests.support.tls_ends import library_file

BLOCK = 32
WANTS_DATA = b"\xbe\x17\x00\x00\x00"  # mov esi, 0x17
WANTS_HANDSHAKE = b"\xbe\x16\x00\x00\x00"
PUSH = b"\x55\x5d\xc3"


def names(found) -> set[str]:
    return {function.name for function, _ in found.functions}


def test_all_functions_of_the_real_library_are_found_and_have_cheap_sites():
    with ElfFile(library_file("gnutls")) as elf:
        assert recognise(elf).libraries == ("gnutls",)
        found = locate(elf, LIBRARY, False)
        assert locate(elf, LIBRARY, True).functions == found.functions
        sites = [probe_site(elf, function, probe, 0) for function, probe in found.functions]
    assert found.refusals == ()
    assert names(found) == {
        "_gnutls_recv_int",
        "gnutls_record_send2",
        *(probe.symbol for probe in LIBRARY.lifecycle),
    }
    assert {site.kind for site in sites} == {"pair"}


@pytest.fixture
def located(make_elf, tmp_path):
    def located(**functions: bytes | tuple[bytes, str]):
        """Blocks of code; (code, name) ends in a jump to that function."""
        order = list(functions)
        code = {}
        for number, (name, body) in enumerate(functions.items()):
            text, target = body if isinstance(body, tuple) else (body, "")
            if target:
                distance = (order.index(target) - number) * BLOCK - len(text) - 5
                text += b"\xe9" + struct.pack("<i", distance)
            code["." + name if name.startswith("hidden") else name] = text.ljust(BLOCK, b"\x90")
        path = tmp_path / "libgnutls.so"
        path.write_bytes(make_elf(code))
        with ElfFile(str(path)) as elf:
            return locate(elf, LIBRARY, False)

    return located


GOOD = {
    "gnutls_record_recv_seq": (WANTS_DATA, "hidden_receive"),
    "gnutls_record_recv": (WANTS_DATA, "hidden_receive"),
    "gnutls_record_send2": PUSH,
    "hidden_receive": PUSH,
    "hidden_other": PUSH,
}


def test_what_both_receivers_ask_for_application_data_is_it(located):
    assert names(located(**GOOD)) == {"_gnutls_recv_int", "gnutls_record_send2"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gnutls_record_recv": (WANTS_DATA, "hidden_other")}, "0 functions, not one"),
        ({"gnutls_record_recv": (WANTS_HANDSHAKE, "hidden_receive")}, "0 functions, not one"),
        ({"gnutls_record_recv": (WANTS_DATA + b"\x31\xf6", "hidden_receive")}, "0 functions, not one"),
        ({"gnutls_record_send2": (b"", "hidden_receive")}, "is called by gnutls_record_send2, too"),
    ],
)
def test_what_is_not_certain_is_refused_in_both_directions(located, change, reason):
    found = located(**{**GOOD, **change})
    assert found.functions == ()
    assert reason in found.refusals[0].reason


def test_a_file_without_the_functions_is_refused(located):
    found = located(gnutls_record_send2=PUSH)
    assert found.functions == ()
    assert found.refusals[0].reason == ("the file does not define gnutls_record_recv_seq, gnutls_record_recv")


def test_what_only_looks_like_openssl_is_not_captured_a_second_time():
    found = LibraryLocator(None).locate("/usr/lib/x86_64-linux-gnu/libgnutls-openssl.so.27")
    assert found.sites == ()
    assert found.refusals[0].reason == "it passes everything on to GnuTLS, where it is captured"
