# SPDX-License-Identifier: Apache-2.0
"""Files that are looked at while everything else goes on: nobody waits for an analysis of a second."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress

from otel_qtap.discovery.elf import FileGoneError
from otel_qtap.discovery.inodes import is_same_inode
from otel_qtap.discovery.libraries import Examination, LibraryFile, LibraryLocator
from otel_qtap.discovery.plan import FileIdentity, FilePlan

_AT_ONCE = 8
"""Most that wait for an analysis; more processors than a host may have for us would gain nothing."""


class Examinations:
    """What is to be looked at, and what is looked at just now. Nothing happens but in ``advance``."""

    def __init__(self, locator: LibraryLocator) -> None:
        self._locator = locator
        self._urgent: deque[LibraryFile] = deque()
        self._later: deque[LibraryFile] = deque()
        self._running: list[tuple[FileIdentity, Examination]] = []

    @property
    def is_busy(self) -> bool:
        """Whether ``advance`` has work, now or in a moment."""
        return bool(self._urgent or self._later or self._running)

    def __contains__(self, identity: FileIdentity) -> bool:
        """Whether this file, which somebody uses, is among them."""
        awaited = (*(file.identity for file in self._urgent), *(one for one, _ in self._running))
        return any(is_same_inode(one, identity) for one in awaited)

    def add(self, files: Iterable[LibraryFile]) -> None:
        """Look at these as soon as possible, for somebody uses them."""
        self._urgent.extend(file for file in files if file.identity not in self)

    def add_later(self, files: Iterable[LibraryFile]) -> None:
        """Look at these, one by one, while there is nothing else to do."""
        self._later.extend(files)

    def advance(self) -> Iterator[FilePlan]:
        """Begin what can be begun; yields plans of what is known now."""
        was_busy = self.is_busy
        yield from self._done()
        while self._urgent and len(self._running) < _AT_ONCE:
            self._begin(self._urgent.popleft())
            yield from self._done()
        if self._later and not self._running:
            self._begin(self._later.popleft())
        if was_busy and not self.is_busy:
            self._locator.remember()

    def stop(self) -> None:
        """Leave all that is not done."""
        self._urgent.clear()
        self._later.clear()
        for _, examination in self._running:
            examination.abandon()
        self._running.clear()
        self._locator.remember()

    def _begin(self, file: LibraryFile) -> None:
        with suppress(FileGoneError):
            self._running.append((file.identity, self._locator.begin(file)))

    def _done(self) -> Iterator[FilePlan]:
        for running in list(self._running):
            if running[1].is_done:
                self._running.remove(running)
                yield running[1].result()
