# SPDX-License-Identifier: Apache-2.0
from otel_qtap.discovery.analysis import analyse
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.plan import SiteKind
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
