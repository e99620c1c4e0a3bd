# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.library_search import LibrarySearch, SearchOptions
from otel_qtap.discovery.plan_cache import PlanCache
from otel_qtap.probes.openssl import LIBRARY


def test_a_search_runs_until_its_result_is_asked_for(system_libssl: Path, tmp_path: Path) -> None:
    options = SearchOptions(PlanCache(tmp_path))
    with ElfFile(str(system_libssl)) as elf:
        search = LibrarySearch(options, str(system_libssl), elf, LIBRARY)
        assert search.is_running
        found = search.result()
        assert not search.is_running
        again = LibrarySearch(options, str(system_libssl), elf, LIBRARY)
        assert not again.is_running
        assert again.result() == found
    assert (found.library, found.release[:2], bool(found.sites)) == ("openssl", "3.", True)


@pytest.mark.parametrize("size", [4100, 4200])
def test_a_damaged_file_is_refused(size: int, make_elf: Callable[..., bytes], tmp_path: Path) -> None:
    path = tmp_path / "libssl.so"
    path.write_bytes(make_elf({"SSL_read": b"\xc3", "SSL_write": b"\xc3"}))
    with ElfFile(str(path)) as elf:
        path.write_bytes(path.read_bytes()[:size])
        plan = LibrarySearch(SearchOptions(), str(path), elf, LIBRARY).result()
    assert plan.sites == ()
    assert plan.refusals[0].function == "openssl"
