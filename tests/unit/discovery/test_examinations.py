# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_qtap.discovery import analysis, analysis_process, inodes, libraries
from otel_qtap.discovery import examinations as examinations_module
from otel_qtap.discovery.examinations import Examinations
from otel_qtap.discovery.inodes import identify
from otel_qtap.discovery.libraries import LibraryFile, LibraryLocator
from otel_qtap.discovery.plan import FileIdentity, FilePlan, FileVerdict


def file(path: Path) -> LibraryFile:
    identity = identify(str(path))
    assert identity
    return LibraryFile(str(path), str(path), identity)


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def finished(examinations: Examinations) -> list[FilePlan]:
    found: list[FilePlan] = []
    while examinations.is_busy:
        found += examinations.advance()
    return found


@pytest.fixture
def copies(system_libssl: Path, tmp_path: Path) -> list[LibraryFile]:
    return [file(Path(shutil.copy(system_libssl, tmp_path / name))) for name in ("one", "two", "three")]


def test_an_analysis_is_not_waited_for(copies: list[LibraryFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "analyse", lambda *_, **__: time.sleep(60))
    examinations = Examinations(LibraryLocator(None))
    before = children()
    examinations.add(copies)
    assert list(examinations.advance()) == []
    assert all(one.identity in examinations for one in copies)
    assert examinations.is_busy
    examinations.stop()
    assert not examinations.is_busy
    assert children() == before


def test_a_file_with_much_to_look_through_is_not_waited_for(
    copies: list[LibraryFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "_RECOGNISED_HERE_BYTES", 0, raising=False)
    monkeypatch.setattr(libraries, "recognise", lambda elf: pytest.fail("it is looked through here"))
    examinations = Examinations(LibraryLocator(None))
    before = children()
    examinations.add(copies)
    with monkeypatch.context() as patch:
        patch.setattr(analysis_process, "recognise", lambda elf: time.sleep(60), raising=False)
        assert list(examinations.advance()) == []
        assert all(one.identity in examinations for one in copies)
        examinations.stop()
        assert children() == before
    examinations.add(copies)
    assert [plan.verdict.libraries for plan in finished(examinations)] == [("openssl",)] * 3
    assert not any(one.identity in examinations for one in copies)


def test_a_file_that_the_user_named_is_not_waited_for(
    tmp_path: Path, make_elf: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis, "analyse", lambda *_, **__: time.sleep(60))
    monkeypatch.setattr(analysis_process, "LONGEST_SECONDS", 0.5)
    named = tmp_path / "program"
    named.write_bytes(make_elf({"f": b"\xc3"}))
    examinations = Examinations(LibraryLocator(None))
    examinations.add([file(named)._replace(is_the_users=True)])
    assert list(examinations.advance()) == []
    examinations.stop()


def test_a_file_that_there_is_no_process_for_is_not_awaited_any_more(
    copies: list[LibraryFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "_RECOGNISED_HERE_BYTES", 0)
    examinations = Examinations(LibraryLocator(None))
    examinations.add(copies[:1])
    list(examinations.advance())

    def refuse() -> int:
        raise BlockingIOError(11, "no more processes")

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(os, "fork", refuse)
    examinations.add(copies[1:])
    assert finished(examinations) == []
    assert not any(one.identity in examinations for one in copies)
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 2, "file and pipe of the first one"


def test_what_takes_no_analysis_is_there_at_once(tmp_path: Path, make_elf: Callable[..., bytes]) -> None:
    other, gone = tmp_path / "other", tmp_path / "gone"
    other.write_bytes(make_elf({"f": b"\xc3"}))
    examinations = Examinations(LibraryLocator(None))
    shutil.copy(other, gone)
    examinations.add([file(gone), file(other)])
    gone.unlink()
    assert [plan.path for plan in examinations.advance()] == [str(other)]
    assert not examinations.is_busy


def test_a_file_is_looked_at_once_however_often_it_is_asked_for(copies: list[LibraryFile]) -> None:
    examinations = Examinations(LibraryLocator(None))
    examinations.add(copies[:1])
    list(examinations.advance())
    examinations.add(copies)
    assert sorted(plan.path for plan in finished(examinations)) == sorted(one.path for one in copies)


def test_what_has_time_comes_after_all_else_and_one_by_one(copies: list[LibraryFile], tmp_path: Path) -> None:
    plans = tmp_path / "plans"
    examinations = Examinations(LibraryLocator(plans))
    examinations.add_later(copies[1:])
    assert copies[1].identity not in examinations
    examinations.add(copies[:1])
    assert [plan.path for plan in finished(examinations)] == [one.path for one in copies]
    assert LibraryLocator(plans).remembers(copies[2].identity)


class Nothing:
    """An examination that finds nothing, at once."""

    is_done = True

    def __init__(self, file: LibraryFile) -> None:
        self._file = file

    def advance(self) -> None:
        pass

    def result(self) -> FilePlan:
        return FilePlan(
            path=self._file.path, verdict=FileVerdict(path=self._file.path, identity=self._file.identity)
        )


class Instant(LibraryLocator):
    """Knows of all files that there is nothing in them."""

    def __init__(self) -> None:
        super().__init__(None)

    def begin(self, file: LibraryFile) -> Any:
        return Nothing(file)


def storm(process: int, count: int, size: int = 1000) -> list[LibraryFile]:
    return [
        LibraryFile(f"{process}/{n}", "", FileIdentity(1, 1000 * process + n, 2, size, 3), process=process)
        for n in range(count)
    ]


def test_what_is_awaited_is_known_without_a_look_at_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def is_same_inode(*_: object) -> bool:
        nonlocal compared
        compared += 1
        return inodes_are_the_same(*_)

    inodes_are_the_same: Any = inodes.is_same_inode
    for module in (inodes, examinations_module):
        monkeypatch.setattr(module, "is_same_inode", is_same_inode, raising=False)
    examinations = Examinations(Instant())
    for process in range(10):
        examinations.add(storm(process, 100))
    compared = 0
    assert all(file.identity in examinations for process in range(10) for file in storm(process, 100))
    assert compared <= 1000, "one for each"


def test_whoever_asks_for_one_file_does_not_wait_for_all_of_another() -> None:
    examinations = Examinations(Instant())
    examinations.add(storm(1, 200))
    examinations.add(storm(2, 1))
    assert "2/0" in [plan.path for plan in examinations.advance()][:2]


def test_so_much_is_begun_before_anything_else_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in ((storm(1, 200), 16), (storm(1, 20, size=4 << 20), 2), (storm(1, 2, size=1 << 40), 1)):
        examinations = Examinations(Instant())
        examinations.add(files)
        assert len(list(examinations.advance())) == most
        assert examinations.is_busy
        assert len(finished(examinations)) == len(files) - most


def test_so_many_files_wait_for_one_process() -> None:
    examinations = Examinations(Instant())
    files = storm(1, 1000)
    examinations.add(files)
    assert examinations.is_full(1)
    assert not examinations.is_full(2)
    assert sum(file.identity in examinations for file in files) == 256
    assert len(finished(examinations)) == 256
    assert not examinations.is_full(1)
    examinations.add(files[256:])
    assert files[256].identity in examinations


def test_what_cannot_be_opened_is_not_awaited_any_more() -> None:
    examinations = Examinations(LibraryLocator(None))
    (gone,) = storm(1, 1)
    examinations.add([gone])
    assert gone.identity in examinations
    assert finished(examinations) == []
    assert gone.identity not in examinations
