# SPDX-License-Identifier: Apache-2.0
"""BIO_write is found in what a process maps: here in this one, which has OpenSSL in its memory."""

import _ssl  # so that libcrypto is mapped
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from otel_qtap.discovery import ciphertext_files as module
from otel_qtap.discovery.ciphertext_files import CiphertextFiles
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.library_search import FileSearch
from otel_qtap.discovery.plan import LibraryPlan
from otel_qtap.probes.spec import Hook, TlsLibrary

FILES = CiphertextFiles(LibraryLocator(None))


def found(files: CiphertextFiles, pid: int, also: list[str] | None = None) -> list[LibraryPlan]:
    """What a search finds in the end."""
    search = files.search(pid, also or [])
    while not search.is_done:
        search.advance()
    return search.plans


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


class Counting(LibraryLocator):
    """Keeps account of the files that it searches."""

    def __init__(self) -> None:
        super().__init__(None)
        self.searched: list[str] = []

    def search(self, path: str, library: TlsLibrary) -> FileSearch:
        self.searched.append(path)
        return super().search(path, library)


@pytest.fixture
def map_all(tmp_path: Path) -> Iterator[Callable[..., list[Path]]]:
    """Maps so many files as code that only have the name of libcrypto."""
    with ExitStack() as mapped:

        def map_all(count: int, content: bytes) -> list[Path]:
            paths = [tmp_path / f"libcrypto.so.{number}" for number in range(count)]
            for path in paths:
                path.write_bytes(content)
                with path.open("rb") as file:
                    mapped.enter_context(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC))
            return paths

        yield map_all


def test_libcrypto_has_it() -> None:
    assert _ssl.OPENSSL_VERSION
    plans = found(FILES, os.getpid())

    assert plans
    assert all(site.function == "BIO_write" for plan in plans for site in plan.sites)
    assert all(site.cookie == Hook.BIO_WRITE for plan in plans for site in plan.sites)
    assert not any(site.needs_return for plan in plans for site in plan.sites)


def test_a_named_file_without_it_is_none() -> None:
    libc = ["/usr/lib/x86_64-linux-gnu/libc.so.6"]
    assert len(found(FILES, os.getpid(), libc)) == len(found(FILES, os.getpid()))


def test_a_process_that_is_gone_has_none() -> None:
    search = FILES.search(2**22 + 1)
    assert (search.is_done, search.plans) == (True, [])


def test_an_analysis_is_not_waited_for_and_may_be_left() -> None:
    before = children()
    search = FILES.search(os.getpid())
    search.advance(may_begin=False)
    assert not search.is_running
    search.advance()
    assert (search.is_running, search.is_done, search.plans) == (True, False, [])
    search.abandon()
    assert (search.is_running, search.is_done, children()) == (False, True, before)


def test_files_are_counted_whether_or_not_there_is_anything_in_them(
    map_all: Callable[..., list[Path]], make_elf: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_FILES", 4)
    map_all(10, make_elf({"f": b"\xc3"}))
    locator = Counting()
    assert found(CiphertextFiles(locator), os.getpid()) == []
    assert len(locator.searched) == 4


@pytest.mark.parametrize("content", [b"not ELF", None])
def test_what_was_searched_in_vain_is_remembered_in_the_state_that_it_had(
    content: bytes | None, map_all: Callable[..., list[Path]], make_elf: Callable[..., bytes]
) -> None:
    paths = map_all(3, content or make_elf({"f": b"\xc3"}))
    locator = Counting()
    files = CiphertextFiles(locator)
    found(files, os.getpid())
    first = len(locator.searched)
    found(files, os.getpid())
    assert len(locator.searched) == first + first - len(paths)
    os.utime(paths[0])
    locator.searched.clear()
    found(files, os.getpid())
    assert len(locator.searched) == first - len(paths) + 1


def test_what_is_remembered_is_bounded(
    map_all: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 2)
    map_all(5, b"not ELF")
    files = CiphertextFiles(LibraryLocator(None))
    found(files, os.getpid())
    assert len(files._nothing) == 2
