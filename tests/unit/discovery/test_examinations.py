# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.discovery import analysis
from otel_qtap.discovery.examinations import Examinations
from otel_qtap.discovery.inodes import identify
from otel_qtap.discovery.libraries import LibraryFile, LibraryLocator
from otel_qtap.discovery.plan import FilePlan


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
