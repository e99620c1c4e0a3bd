# SPDX-License-Identifier: Apache-2.0
"""One file through real overlay mounts, and copies of it that look like it in all but their birth."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from otel_qtap.discovery import inodes
from otel_qtap.discovery.inodes import InodeMap, identify, identify_open, is_same_inode
from otel_qtap.discovery.plan import FileIdentity
from tests.support.overlays import mount_overlay, scratch_file_system

AT_STATX_DONT_SYNC = 0x4000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


def seen(path: Path) -> FileIdentity:
    identity = identify(str(path))
    assert identity is not None
    return identity


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[Path]:
    """A file system with an image of one file."""
    with scratch_file_system(tmp_path / "layers") as directory:
        (directory / "image").mkdir()
        (directory / "image" / "library").write_bytes(b"\x7fELF")
        yield directory


def test_a_file_is_identified_as_stat_does_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    status = file.stat()

    assert seen(file).state == (status.st_dev, status.st_ino, status.st_mtime_ns, 7)
    with file.open("rb") as opened:
        assert identify_open(opened.fileno()) == seen(file)


def test_nobody_is_asked_who_may_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    flags: list[int] = []
    libc = inodes._libc

    def statx(*given: Any) -> Any:
        flags.append(given[2])
        return libc.statx(*given)

    def ask(*_: object) -> None:
        raise AssertionError("fstat(2) asks the server that has the file, or the process")

    expected = seen(tmp_path / "file")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", ask)
        patch.setattr(inodes, "_libc", SimpleNamespace(statx=statx, fstatfs=libc.fstatfs))
        assert seen(tmp_path / "file") == expected
        assert identify(str(tmp_path)) is None
    assert [how & AT_STATX_DONT_SYNC for how in flags] == [AT_STATX_DONT_SYNC] * 2


@pytest.mark.parametrize("path", ["/no/such/file", "/nul\0"])
def test_what_cannot_be_opened_has_no_identity(path: str) -> None:
    assert identify(path) is None


@needs_root
def test_containers_of_one_image_show_one_inode(layers: Path) -> None:
    origin = seen(layers / "image" / "library")
    first, second = (seen(mount_overlay(layers / n, layers / "image") / "library") for n in "ab")

    assert first.device != second.device
    assert first.is_stacked and not origin.is_stacked  # noqa: PT018 - one statement about three files
    assert is_same_inode(first, second)
    assert is_same_inode(first, origin)


@needs_root
@pytest.mark.parametrize("option", ["xino=on", "xino=off", "index=on"])
def test_numbers_that_an_overlay_makes_up_change_nothing(layers: Path, tmp_path: Path, option: str) -> None:
    with scratch_file_system(tmp_path / "other") as other:  # layers of two file systems
        shown = seen(mount_overlay(other / "a", layers / "image", option) / "library")
        assert is_same_inode(shown, seen(layers / "image" / "library"))


@needs_root
def test_a_file_that_a_container_changed_is_its_own(layers: Path) -> None:
    first, second = (mount_overlay(layers / n, layers / "image") / "library" for n in "ab")
    os.chown(second, 1, 1)  # copied up: number, size and modification time stay
    before, after = seen(first), seen(second)

    assert (before.inode, before.size, before.mtime_ns) == (after.inode, after.size, after.mtime_ns)
    assert not is_same_inode(before, after)
    assert is_same_inode(after, seen(layers / "b" / "upper" / "library")) is (
        after.inode == (layers / "b" / "upper" / "library").stat().st_ino
    )


@needs_root
def test_an_overlay_on_an_overlay_shows_the_same_inode(layers: Path) -> None:
    middle = mount_overlay(layers / "a", layers / "image")
    with scratch_file_system(layers.parent / "top") as top:
        assert is_same_inode(seen(mount_overlay(top / "b", middle) / "library"), seen(middle / "library"))


PLAIN = FileIdentity(1, 2, 3, 4, birth_ns=5)
STACKED = PLAIN._replace(device=9, is_stacked=True)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (PLAIN._replace(mtime_ns=7, size=7), True),  # written to
        (PLAIN._replace(device=7), False),  # a snapshot of its file system
        (PLAIN._replace(birth_ns=7), False),  # the number was used again
        (STACKED._replace(inode=1 << 63 | 2), True),
        (STACKED._replace(birth_ns=7), False),
    ],
)
def test_what_makes_an_inode(other: FileIdentity, same: bool) -> None:
    assert is_same_inode(PLAIN, other) is same
    assert is_same_inode(other, PLAIN) is same


def test_without_birth_times_state_must_agree_across_an_overlay() -> None:
    plain, stacked = (identity._replace(birth_ns=0) for identity in (PLAIN, STACKED))

    assert is_same_inode(plain, stacked)
    assert not is_same_inode(plain, stacked._replace(mtime_ns=7))
    assert is_same_inode(plain, plain._replace(mtime_ns=7))


def test_a_map_by_inode_keeps_one_value_for_all_that_show_it() -> None:
    known: InodeMap[str] = InodeMap()
    known.set(PLAIN, "first")
    known.set(PLAIN._replace(device=7), "snapshot")
    assert (len(known), known.get(STACKED)) == (2, (PLAIN, "first"))

    known.set(STACKED, "all")  # one stacked file stands for what it may be a view of
    assert list(known) == [(STACKED, "all")]
    assert PLAIN in known
    known.remove(PLAIN)
    assert len(known) == 0
    assert known.get(STACKED) is None


def test_a_map_is_thinned_out() -> None:
    known: InodeMap[int] = InodeMap()
    for number in range(4):
        known.set(PLAIN._replace(inode=number), number)
    known.keep(lambda _, value: value % 2 == 0)

    assert sorted(value for _, value in known) == [0, 2]
