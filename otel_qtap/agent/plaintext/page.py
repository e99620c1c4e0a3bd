# SPDX-License-Identifier: Apache-2.0
"""One page of memory that supervisor and pipeline have: a byte for each probed file.

The supervisor asks whether what comes out of a file is plaintext, the pipeline answers. It parses what
strangers wrote, so nothing more is believed: an answer about a file that was not asked about is none, and the
worst that a lie does is that a file is probed no more which was located by its code.
"""

import mmap
from enum import IntEnum

from otel_qtap.probes.spec import MAX_FILES


class Mark(IntEnum):
    """What stands in the byte of a file."""

    NONE = 0
    ASKED = 1
    PLAIN = 2
    CIPHERTEXT = 3


class PlaintextPage:
    """Files by their numbers (``FileNumbers``). Made before the processes part."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, MAX_FILES)
        self._asked: set[int] = set()

    def ask(self, number: int) -> None:
        """The supervisor wants to know of this file; number 0 is that of no file."""
        if number:
            self._asked.add(number)
            self._page[number] = Mark.ASKED

    def give_up(self, number: int) -> None:
        """The supervisor has no such file any more."""
        self._asked.discard(number)
        self._page[number] = Mark.NONE

    def refused(self) -> list[int]:
        """For the supervisor: files that it asked about and out of which ciphertext comes."""
        if self._page.find(bytes((Mark.CIPHERTEXT,))) < 0:
            return []
        return [number for number in self._asked if self._page[number] == Mark.CIPHERTEXT]

    def mark(self, number: int) -> int:
        """What is known of a file."""
        return self._page[number]

    @property
    def has_questions(self) -> bool:
        """For the pipeline: whether any file is asked about."""
        return self._page.find(bytes((Mark.ASKED,))) >= 0

    def answer(self, number: int, mark: Mark) -> None:
        """The pipeline knows."""
        if self._page[number] == Mark.ASKED:
            self._page[number] = mark
