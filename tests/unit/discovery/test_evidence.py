# SPDX-License-Identifier: Apache-2.0
"""What was read for an answer tells for which other files it holds."""

from collections.abc import Callable

import pytest

from otel_qtap.discovery import evidence
from otel_qtap.discovery.evidence import MOST_PARTS, Evidence, Extent, Reads

CONTENT = bytes(range(100))


def reader(content: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, size: content[offset : offset + size]


def evidence_of(*parts: tuple[int, int]) -> Evidence:
    reads = Reads()
    for offset, size in parts:
        reads.add(offset, CONTENT[offset : offset + size])
    found = reads.evidence()
    assert found is not None
    return found


def test_it_holds_for_a_file_that_differs_only_where_nothing_was_read() -> None:
    found = evidence_of((0, 4), (50, 10), (0, 4))

    assert found.parts == (Extent(0, 4), Extent(50, 10))
    assert found.size == 14
    assert found.holds(reader(CONTENT))
    assert found.holds(reader(CONTENT[:10] + b"!" + CONTENT[11:]))
    assert not found.holds(reader(CONTENT[:55] + b"!" + CONTENT[56:]))


def test_there_is_none_of_a_file_that_changes_while_it_is_read() -> None:
    reads = Reads()
    reads.add(0, b"once")
    reads.add(0, b"then")
    assert reads.evidence() is None


def test_there_is_none_of_too_many_parts() -> None:
    reads = Reads()
    for offset in range(MOST_PARTS):
        reads.add(offset, b"x")
    assert reads.evidence() is not None
    reads.add(MOST_PARTS, b"x")
    assert reads.evidence() is None


def test_there_is_none_of_more_than_anybody_would_want_to_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_BYTES", 10)
    reads = Reads()
    reads.add(0, b"x" * 10)
    assert reads.evidence() is not None
    kept = reads.copy()
    reads.add(10, b"x")
    assert reads.evidence() is None
    assert kept.evidence() is not None
    kept.add(10, b"x")
    assert kept.evidence() is None
