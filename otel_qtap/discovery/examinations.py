# SPDX-License-Identifier: Apache-2.0
"""Files that are looked at while everything else goes on: nobody waits for an analysis of a second."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress

from otel_qtap.discovery.errors import FileGoneError
from otel_qtap.discovery.inodes import InodeMap
from otel_qtap.discovery.libraries import Examination, LibraryFile, LibraryLocator
from otel_qtap.discovery.plan import FileIdentity, FilePlan
from otel_qtap.discovery.turns import Turns

_AT_ONCE = 8
"""Most that wait for an analysis; more processors than a host may have for us would gain nothing."""
_FILES_A_ROUND = 16
_BYTES_A_ROUND = 8 << 20
"""So many files, and so much in them, are begun at most before anything else has its turn."""
_MOST_OF_A_PROCESS = 256
"""Most that wait for one process: of thousands of new files, the others are looked at by and by."""


class Examinations:
    """What is to be looked at, and what is looked at just now. Nothing happens but in ``advance``.

    Processes have their files looked at in turns: nobody waits for all that another one maps.
    """

    def __init__(self, locator: LibraryLocator) -> None:
        self._locator = locator
        self._urgent: Turns[LibraryFile] = Turns(_MOST_OF_A_PROCESS)
        self._later: deque[LibraryFile] = deque()
        self._running: list[tuple[FileIdentity, Examination]] = []
        self._awaited: InodeMap[None] = InodeMap()
        """The urgent ones, and those that are running."""

    @property
    def is_busy(self) -> bool:
        """Whether ``advance`` has work, now or in a moment."""
        return bool(self._urgent or self._later or self._running)

    def __contains__(self, identity: FileIdentity) -> bool:
        """Whether this file, which somebody uses, is among them."""
        return identity in self._awaited

    def is_full(self, process: int) -> bool:
        """Whether so many files of this process wait that others of it are left for another time."""
        return self._urgent.is_full(process)

    def add(self, files: Iterable[LibraryFile]) -> None:
        """Look at these as soon as possible, for somebody uses them: as many as may wait for a process."""
        for file in files:
            if file.identity not in self._awaited and not self._urgent.is_full(file.process):
                self._urgent.add(file.process, file)
                self._awaited.set(file.identity, None)

    def add_later(self, files: Iterable[LibraryFile]) -> None:
        """Look at these, one by one, while there is nothing else to do."""
        self._later.extend(files)

    def advance(self) -> Iterator[FilePlan]:
        """Begin what can be begun; yields plans of what is known now."""
        was_busy = self.is_busy
        yield from self._done()
        files_left, bytes_left = _FILES_A_ROUND, _BYTES_A_ROUND
        while self._urgent and len(self._running) < _AT_ONCE and files_left > 0 and bytes_left > 0:
            file = self._urgent.take()
            files_left -= 1
            bytes_left -= file.identity.size
            self._begin(file)
            yield from self._done()
        if self._later and not self._urgent and not self._running:
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
        self._awaited = InodeMap()
        self._locator.remember()

    def _begin(self, file: LibraryFile) -> None:
        try:
            self._running.append((file.identity, self._locator.begin(file)))
            self._awaited.set(file.identity, None)
        except FileGoneError:
            self._awaited.remove(file.identity)

    def _done(self) -> Iterator[FilePlan]:
        for running in list(self._running):
            identity, examination = running
            plan = None
            with suppress(FileGoneError):
                examination.advance()
                if not examination.is_done:
                    continue
                plan = examination.result()
            self._running.remove(running)
            self._awaited.remove(identity)
            if plan is not None:
                yield plan
