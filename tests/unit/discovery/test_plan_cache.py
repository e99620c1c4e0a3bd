# SPDX-License-Identifier: Apache-2.0
import json
import os
from pathlib import Path

import pytest

from otel_qtap.discovery import evidence, library_search
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.plan_cache import FORMAT
from otel_qtap.probes.openssl import LIBRARY

READ = {"SSL_read": b"\x55\xc3", "SSL_write": b"\x90\xc3"}


@pytest.fixture
def library(make_elf, tmp_path) -> Path:
    path = tmp_path / "libssl.so"
    path.write_bytes(make_elf(READ))
    return path


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "state" / "plans"


@pytest.fixture(params=["at once", "apart"])
def compared(request, monkeypatch) -> None:
    """How what is remembered is compared with the file at hand."""
    if request.param == "apart":
        monkeypatch.setattr(library_search, "_COMPARED_AT_ONCE", 0)


def entries(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


def test_an_entry_is_private_named_by_build_id_and_leaves_no_temporary_file(library, cache):
    LibraryLocator(cache).locate(str(library))
    (entry,) = entries(cache)
    assert entry.name == f"openssl-{'ab' * 20}-{library.stat().st_size}.json"
    assert entry.stat().st_mode & 0o777 == 0o600
    assert cache.stat().st_mode & 0o777 == 0o700


def test_without_a_build_id_the_file_itself_is_the_name(make_elf, tmp_path, cache):
    path = tmp_path / "libssl.so"
    path.write_bytes(make_elf(READ, build_id=b""))
    plan = LibraryLocator(cache).locate(str(path))
    (entry,) = entries(cache)
    assert entry.name == f"openssl-{'-'.join(map(str, plan.identity.state))}.json"


@pytest.mark.usefixtures("compared")
def test_an_entry_is_used(library, cache):
    first = LibraryLocator(cache).locate(str(library))
    (entry,) = entries(cache)
    entry.write_text(entry.read_text().replace("SSL_is_server", "remembered"))
    again = LibraryLocator(cache).locate(str(library))
    assert again.sites == first.sites
    assert "remembered" in {refusal.function for refusal in again.refusals}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": 999}',
        b'{"format": %d, "sites": [{}], "role": null, "refusals": []}' % FORMAT,
        b'{"format": %d, "sites": 5, "role": 7, "refusals": null}' % FORMAT,
    ],
)
def test_a_damaged_entry_is_ignored_and_written_anew(library, cache, content):
    first = LibraryLocator(cache).locate(str(library))
    (entry,) = entries(cache)
    good = entry.read_bytes()
    entry.write_bytes(content)
    assert LibraryLocator(cache).locate(str(library)) == first
    assert entry.read_bytes() == good


def test_an_entry_of_another_format_is_not_used(library, cache):
    LibraryLocator(cache).locate(str(library))
    (entry,) = entries(cache)
    stored = json.loads(entry.read_text())
    entry.write_text(json.dumps({**stored, "format": stored["format"] + 1, "sites": []}))
    assert LibraryLocator(cache).locate(str(library)).sites


@pytest.mark.usefixtures("compared")
def test_equal_build_ids_do_not_make_equal_files(make_elf, tmp_path, cache):
    first, second = tmp_path / "libssl-1.so", tmp_path / "libssl-2.so"
    first.write_bytes(make_elf(READ))
    second.write_bytes(make_elf({"SSL_read": b"\x90\xc3", "SSL_write": b"\x55\xc3"}))
    assert first.stat().st_size == second.stat().st_size
    plans = [LibraryLocator(cache).locate(str(path)) for path in (first, second, first)]
    assert [plan.sites[0].instruction for plan in plans] == ["push rbp", "nop", "push rbp"]


@pytest.mark.usefixtures("compared")
def test_what_was_refused_in_one_file_is_not_refused_in_another_with_its_build_id(make_elf, tmp_path, cache):
    first, second = tmp_path / "libssl-1.so", tmp_path / "libssl-2.so"
    first.write_bytes(make_elf({"SSL_none": b"\x55\xc3", "SSL_wrong": b"\x90\xc3"}))
    second.write_bytes(make_elf(READ))
    assert first.stat().st_size == second.stat().st_size
    plans = [LibraryLocator(cache).locate(str(path), LIBRARY) for path in (first, second)]
    assert [bool(plan.sites) for plan in plans] == [False, True]


def test_a_file_that_is_read_in_too_many_parts_is_analysed_each_time(library, cache, monkeypatch):
    monkeypatch.setattr(evidence, "MOST_PARTS", 3)
    assert LibraryLocator(cache).locate(str(library)).sites
    assert not cache.exists()


def test_a_directory_that_cannot_be_used_only_costs_the_memory(library, tmp_path):
    (tmp_path / "file").write_text("")
    assert LibraryLocator(tmp_path / "file" / "plans").locate(str(library)).sites


def test_a_full_disk_leaves_nothing_behind(library, cache, monkeypatch):
    def refuse(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", refuse)
    assert LibraryLocator(cache).locate(str(library)).sites
    assert entries(cache) == []
