# SPDX-License-Identifier: Apache-2.0
"""What is written to the kernel's map of files, and what of it counts."""

import struct
from collections.abc import Iterator

import pytest

from otel_qtap.agent.file_marks import Content, FileMarks
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_items, map_update
from otel_qtap.discovery.plan import FileIdentity

pytestmark = pytest.mark.bpf

FILE, ELSEWHERE = (77, 1), (77, 2)
IDENTITY = FileIdentity(device=1, inode=77, mtime_ns=5_000_000_001, size=300, birth_ns=9)
LATER = IDENTITY._replace(mtime_ns=6_000_000_000)
REPORTED = 1


class Marks:
    """Marks, and the map that they are in."""

    def __init__(self, session: KernelSession) -> None:
        self.marks = FileMarks(session)
        self._map = session.maps["known_files"]

    def there(self) -> dict[tuple[int, int], tuple[int, int, int]]:
        """Kind, size and time of modification of all."""
        found = {}
        for key, value in map_items(self._map):
            kind, size, mtime_ns = struct.unpack("<I12xQQ", value)
            found[struct.unpack("<QIxxxx", key)] = (kind, size, mtime_ns)
        return found

    def report(self, file: tuple[int, int], identity: FileIdentity) -> None:
        """As the kernel side does."""
        value = struct.pack("<I12xQQ", REPORTED, identity.size, identity.mtime_ns)
        map_update(self._map, struct.pack("<QIxxxx", *file), value)
        self.marks.is_reported(file)


@pytest.fixture
def made(kernel_session: KernelSession) -> Iterator[Marks]:
    yield Marks(kernel_session)
    for key, _ in map_items(kernel_session.maps["known_files"]):
        map_delete(kernel_session.maps["known_files"], key)


def test_a_mark_says_in_which_state_the_file_was_looked_at(made: Marks) -> None:
    made.marks.give(FILE, Content.OTHER, IDENTITY)
    assert made.there() == {FILE: (Content.OTHER, 300, 5_000_000_001)}
    made.marks.give(FILE, Content.LIBRARY, LATER)
    assert made.there() == {FILE: (Content.LIBRARY, 300, 6_000_000_000)}
    made.marks.give(FILE, Content.LIBRARY, LATER._replace(mtime_ns=-1))
    assert made.there() == {FILE: (Content.LIBRARY, 300, (1 << 64) - 1)}


def test_a_notice_older_than_the_mark_is_answered_by_it(made: Marks) -> None:
    assert made.marks.given_since(FILE, 0) is None
    made.marks.give(FILE, Content.OTHER, IDENTITY)
    mark = made.marks.given_since(FILE, 0)
    assert mark
    assert mark.content is Content.OTHER
    assert made.marks.given_since(FILE, mark.told_ns) is None


def test_a_file_that_is_reported_as_it_was_marked_is_marked_as_it_was_reported(made: Marks) -> None:
    made.marks.give(FILE, Content.OTHER, IDENTITY)
    seen_otherwise = IDENTITY._replace(size=301)
    made.report(FILE, seen_otherwise)
    made.marks.give(FILE, Content.OTHER, IDENTITY)
    assert made.there() == {FILE: (Content.OTHER, 301, 5_000_000_001)}


def test_a_file_that_was_written_to_is_marked_as_it_is(made: Marks) -> None:
    made.marks.give(FILE, Content.OTHER, IDENTITY)
    made.report(FILE, IDENTITY._replace(size=301))
    made.marks.give(FILE, Content.OTHER, LATER)
    assert made.there() == {FILE: (Content.OTHER, 300, 6_000_000_000)}


def test_marks_are_taken_back_by_all_names_of_a_file(made: Marks) -> None:
    for file in (FILE, ELSEWHERE):
        made.marks.give(file, Content.LIBRARY, IDENTITY)
    other = IDENTITY._replace(inode=78)
    made.marks.give((78, 1), Content.OTHER, other)
    made.marks.take_back(LATER)
    assert made.there().keys() == {(78, 1)}
    made.marks.give(FILE, Content.LIBRARY, IDENTITY)
    assert made.there().keys() == {(78, 1), FILE}


def test_what_is_not_wanted_is_removed_and_what_the_kernel_forgot_is_told_again(
    made: Marks, kernel_session: KernelSession
) -> None:
    for file in (FILE, ELSEWHERE):
        made.marks.give(file, Content.LIBRARY, IDENTITY)
    map_delete(kernel_session.maps["known_files"], struct.pack("<QIxxxx", *FILE))
    made.marks.keep_only({FILE})
    assert made.there() == {}
    made.marks.give(FILE, Content.LIBRARY, IDENTITY)
    assert made.there().keys() == {FILE}
