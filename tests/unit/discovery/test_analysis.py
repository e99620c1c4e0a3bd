# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery import analysis
from otel_qtap.discovery.analysis import analyse
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.locating.located import Located
from otel_qtap.discovery.plan import Refusal, SiteKind
from otel_qtap.discovery.sites import NO_SITE
from otel_qtap.probes.gnutls import LIBRARY as GNUTLS
from otel_qtap.probes.openssl import LIBRARY
from otel_qtap.probes.spec import Hook


def test_every_function_that_is_located_gets_a_site_with_its_cookie(make_elf, tmp_path):
    path = tmp_path / "libssl.so"
    path.write_bytes(make_elf({"SSL_read": b"\x55\x5d\xc3", "SSL_free": b"\xf3\x0f\x1e\xfa\x55\x5d\xc3"}))
    with ElfFile(str(path)) as elf:
        found = analyse(elf, LIBRARY)
        classic = analyse(elf, LIBRARY, force_classic=True)

    assert [(site.function, Hook(site.cookie & 255)) for site in found.sites] == [
        ("SSL_read", Hook.READ),
        ("SSL_free", Hook.FREE),
    ]
    assert {site.cookie >> 16 & 255 for site in found.sites} == {LIBRARY.library_id}
    assert {site.kind for site in found.sites} == {SiteKind.PAIR}
    assert {site.kind for site in classic.sites} == {SiteKind.CLASSIC}


@pytest.mark.parametrize("named", [True, False])
def test_functions_that_have_none_of_their_names_are_known_by_code_alone(
    make_elf, tmp_path, monkeypatch, named
):
    path = tmp_path / "libssl.so"
    path.write_bytes(make_elf({"SSL_read" if named else "sub_1": b"\x55\x5d\xc3"}))
    with ElfFile(str(path)) as elf:
        (function,) = elf.functions(["SSL_read", "sub_1"]).values()
        (probe,) = (one for one in LIBRARY.data_paths[0].public if one.symbol == "SSL_read")
        answer = Located(functions=((function, probe),))
        monkeypatch.setattr(analysis, "locator_of", lambda _: lambda *_: answer)
        assert analyse(elf, LIBRARY).by_code is not named


def test_a_function_without_a_site_is_refused(make_elf, tmp_path):
    path = tmp_path / "libssl.so"
    padded = bytes.fromhex("2e2e2e2e41544883ec08c3")
    path.write_bytes(make_elf({"SSL_read": b"\x55\x5d\xc3", "SSL_free": padded}))
    with ElfFile(str(path)) as elf:
        found = analyse(elf, LIBRARY)

    assert [site.function for site in found.sites] == ["SSL_read"]
    assert [refusal.function for refusal in found.refusals if refusal.reason == NO_SITE] == ["SSL_free"]


def test_a_library_whose_plaintext_takes_no_probe_is_refused_as_a_whole(make_elf, tmp_path):
    path = tmp_path / "libgnutls.so"
    jump = b"\xbe\x17\x00\x00\x00\xe9"  # mov esi, 0x17; jmp
    functions = {
        "gnutls_record_recv_seq": (jump + (32 - 10).to_bytes(4, "little")).ljust(16, b"\x90"),
        "gnutls_record_recv": (jump + (16 - 10).to_bytes(4, "little")).ljust(16, b"\x90"),
        ".receive": bytes.fromhex("2e2e2e2e415455c3").ljust(16, b"\x90"),
        "gnutls_record_send2": b"\x55\x5d\xc3",
    }
    path.write_bytes(make_elf(functions))
    with ElfFile(str(path)) as elf:
        found = analyse(elf, GNUTLS)

    assert found.sites == ()
    assert found.refusals == (Refusal("gnutls", f"_gnutls_recv_int: {NO_SITE}"),)
