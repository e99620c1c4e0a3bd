# SPDX-License-Identifier: Apache-2.0
import shutil
import struct
from pathlib import Path

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.library_names import LibraryNames
from otel_qtap.discovery.locating.nss import locate
from otel_qtap.discovery.recognition import recognise
from otel_qtap.discovery.relocations import relative_pointers
from otel_qtap.discovery.sites import probe_site
from otel_qtap.probes.nss import LIBRARY
from otel_qtap.probes.registry import LIBRARIES
from tests.support.tls_ends import library_file


def located(path):
    with ElfFile(str(path)) as elf:
        return locate(elf, LIBRARY, False)


def test_all_functions_of_the_real_library_are_found_and_have_cheap_sites():
    with ElfFile(library_file("nss")) as elf:
        assert recognise(elf).libraries == ("nss",)
        found = locate(elf, LIBRARY, False)
        sites = {probe.symbol: probe_site(elf, function, probe, 0) for function, probe in found.functions}
        starts = {probe.symbol: function.start for function, probe in found.functions}
        pointers = relative_pointers(elf)
    assert found.refusals == ()
    assert set(sites) == {"ssl_SecureRecv", "ssl_SecureSend", "ssl_SecureClose", "ssl_Do1stHandshake"}
    assert {site.kind for site in sites.values()} == {"pair"}
    (place,) = [place for place, target in pointers.items() if target == starts["ssl_SecureRecv"]]
    assert pointers[place + 8] == starts["ssl_SecureSend"]
    assert pointers[place - 8] == starts["ssl_SecureClose"]


def test_its_file_is_not_taken_for_openssl():
    path = library_file("nss")
    assert LibraryNames(LIBRARIES).library(path) == "nss"
    assert LibraryLocator(None).locate(path).library == "nss"


@pytest.fixture
def changed(tmp_path: Path):
    """A copy of the real library in which one relocation points at another function."""

    def changed(edit):
        path = Path(shutil.copy(library_file("nss"), tmp_path / "libssl3.so"))
        image = bytearray(path.read_bytes())
        with ElfFile(str(path)) as elf:
            starts = {probe.symbol: function.start for function, probe in located(path).functions}
            pointers = relative_pointers(elf)
            (table,) = [
                place - 48 for place, target in pointers.items() if target == starts["ssl_SecureRecv"]
            ]
            (section,) = [part for part in elf.sections(4) if struct.pack("<Q", table) in elf.read(*part)]
        for slot, value in edit(pointers, table).items():
            at = image.index(struct.pack("<QQ", slot, 8), section.offset)
            struct.pack_into("<q", image, at + 16, value)
        path.write_bytes(image)
        return located(path)

    return changed


@pytest.mark.parametrize("method", [6, 7, 8, 9])
def test_a_table_whose_methods_do_not_pass_on_is_refused(changed, method):
    found = changed(lambda pointers, table: {table + 8 * method: pointers[table + 8 * 4]})
    assert found.functions == ()
    assert found.refusals[0].reason == "0 tables, not one, look like the methods of TLS descriptors"


def test_pointers_to_what_is_no_code_are_refused(changed):
    assert changed(lambda _, table: {table + 8 * 8: 1 << 40}).functions == ()
