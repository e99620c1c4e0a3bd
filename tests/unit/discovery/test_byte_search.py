# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_qtap.discovery import byte_search
from otel_qtap.discovery.byte_search import found_in, positions
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.evidence import Extent


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[bytes], int]]:
    descriptors = []

    def open_(content: bytes) -> int:
        path = tmp_path / "file"
        path.write_bytes(content)
        descriptors.append(os.open(path, os.O_RDONLY))
        return descriptors[-1]

    yield open_
    for descriptor in descriptors:
        os.close(descriptor)


def test_strings_are_found_within_the_extents_and_nowhere_else(opened: Callable[[bytes], int]) -> None:
    file = opened(b"..one..two..three..")
    wanted = (b"one", b"two", b"three", b"four")
    assert found_in(file, [Extent(0, 19)], wanted) == {b"one", b"two", b"three"}
    assert found_in(file, [Extent(2, 3), Extent(12, 4)], wanted) == {b"one"}
    assert found_in(file, [Extent(0, 9), Extent(9, 9)], wanted, enough=1) == {b"one"}
    assert found_in(file, [], wanted) == set()
    assert found_in(file, [Extent(0, 19)], ()) == set()


def test_a_string_across_two_windows_is_found(
    opened: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_search, "_WINDOW", 4096)
    for place in range(4096 - 8, 4096 + 2):
        content = bytearray(10000)
        content[place : place + 6] = b"needle"
        content[-3:] = b"end"
        assert found_in(opened(bytes(content)), [Extent(0, 10000)], (b"needle", b"end")) == {
            b"needle",
            b"end",
        }


def test_a_file_that_ends_early_is_read_to_its_end(opened: Callable[[bytes], int]) -> None:
    assert found_in(opened(b"needle"), [Extent(0, 1 << 20)], (b"needle", b"x")) == {b"needle"}
    assert found_in(opened(b""), [Extent(1 << 40, 1 << 20)], (b"needle",)) == set()


def test_no_more_than_so_much_is_searched(
    opened: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(byte_search, "MOST_SEARCHED", 100)
    file = opened(b"." * 95 + b"needle")
    assert found_in(file, [Extent(0, 101)], (b"needle",)) == set()
    assert found_in(file, [Extent(0, 50), Extent(60, 41)], (b"needle",)) == {b"needle"}


def test_a_place_that_no_file_has_is_an_error(opened: Callable[[bytes], int]) -> None:
    with pytest.raises(ElfError, match="cannot be read"):
        found_in(opened(b"needle"), [Extent(1 << 63, 10)], (b"needle",))


@pytest.mark.parametrize(
    ("piece", "text", "expected"),
    [(b"abcabcab", b"abc", [0, 3]), (b"aaaa", b"aa", [0, 1, 2]), (b"a\0b\0", b"\0", [1, 3]), (b"", b"a", [])],
)
def test_each_place_of_a_text_is_told_once(piece, text, expected):
    assert list(positions(piece, text)) == expected
