# SPDX-License-Identifier: Apache-2.0
"""Changes as editors, Kubernetes and administrators make them; time is given."""

from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.file_watch import PAUSE_SECONDS, FileWatch

Look = Callable[[], list[bool]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("a")
    return path


def looks(watch: FileWatch) -> Callable[[int], list[bool]]:
    """So many looks, a second apart."""
    clock = iter(range(10_000))
    return lambda count: [watch.has_changed(next(clock) * PAUSE_SECONDS) for _ in range(count)]


def test_what_is_there_at_first_is_known(path: Path) -> None:
    assert looks(FileWatch(path))(3) == [False] * 3


def test_a_change_is_told_once_and_when_it_has_rested(path: Path) -> None:
    look = looks(FileWatch(path))
    path.write_text("ab")
    assert look(4) == [False, True, False, False]


def test_a_file_in_the_writing_is_waited_for(path: Path) -> None:
    look = looks(FileWatch(path))
    told = []
    for size in range(2, 6):
        path.write_text("x" * size)
        told += look(1)
    assert told == [False] * 4
    assert look(2) == [True, False]


def test_a_file_renamed_over_it_is_another(path: Path) -> None:
    look = looks(FileWatch(path))
    other = path.with_name("new")
    other.write_text("a")
    other.rename(path)

    assert True in look(2)


def test_a_link_above_it_that_is_swapped_makes_it_another(tmp_path: Path) -> None:
    """What Kubernetes does with ConfigMaps."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "config.yaml").write_text(version)
    data = tmp_path / "..data"
    data.symlink_to("1")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    look = looks(FileWatch(tmp_path / "config.yaml"))
    assert look(2) == [False, False]
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").rename(data)

    assert True in look(2)


def test_a_file_that_goes_is_no_change_and_one_that_comes_is(path: Path) -> None:
    watch = FileWatch(path)
    look = looks(watch)
    path.unlink()
    assert look(3) == [False] * 3
    assert not watch.is_there
    path.write_text("b")
    assert True in look(2)


def test_a_mode_that_changes_is_a_change(path: Path) -> None:
    look = looks(FileWatch(path))
    path.chmod(0o600)

    assert True in look(2)


def test_it_looks_once_a_second_and_no_more(path: Path) -> None:
    watch = FileWatch(path)
    assert not watch.has_changed(0)
    path.write_text("ab")
    assert [watch.has_changed(0.5), watch.has_changed(0.9)] == [False, False]
    assert [watch.has_changed(1.0), watch.has_changed(2.0)] == [False, True]
