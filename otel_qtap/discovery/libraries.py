# SPDX-License-Identifier: Apache-2.0
"""A file in, a plan of what to attach out, library by library.

An analysis takes 30 ms or more in a process of its own; a remembered one takes less than 1 ms.
"""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from otel_qtap.discovery.analysis_process import Confine, RecognitionApart
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError, FileGoneError
from otel_qtap.discovery.library_search import FileSearch, LibrarySearch, SearchOptions
from otel_qtap.discovery.plan import FileIdentity, FilePlan, FileVerdict, LibraryPlan, Refusal
from otel_qtap.discovery.plan_cache import PlanCache
from otel_qtap.discovery.recognition import Recognition, recognise
from otel_qtap.discovery.recognition_cache import RecognitionCache
from otel_qtap.probes.registry import LIBRARIES
from otel_qtap.probes.spec import TlsLibrary

__all__ = ["LibraryFile", "LibraryLocator", "LibraryPlan"]

_AT_ONCE = 8
"""Most files in analysis at a time; no more than there are processors."""
_RECOGNISED_HERE_BYTES = 4 << 20
"""What is looked through in this process, in 2 ms: all that there is in 98 of 100 usual files. More is left
to another process, for a file may have tables of any size."""


class LibraryFile(NamedTuple):
    """A file to look at."""

    path: str
    """What to open."""
    shown: str
    """Its path as the processes see it that map it."""
    identity: FileIdentity
    library: str = ""
    """The library that its name tells, if any."""
    is_the_users: bool = False
    """Whether the user says that there is a library in it, be one recognised or not."""
    process: int = 0
    """Which maps it; 0: it is looked at ahead of need."""


class Examination:
    """The search for all libraries that one file may hold. Begins at once.

    Raises FileGoneError, as ``advance`` and ``result`` do, when there is nothing to be known of it now.
    """

    def __init__(self, options: SearchOptions, recognised: RecognitionCache, file: LibraryFile) -> None:
        self._options, self._recognised, self._file = options, recognised, file
        self._elf: ElfFile | None = None
        self._error = ""
        self._recognising: RecognitionApart | None = None
        self._searches: list[LibrarySearch] = []
        self._is_guess = False
        """Whether the searches are for all libraries because none was recognised."""
        remembered = recognised.get(file.identity)
        self._recognition = remembered or Recognition()
        if remembered is not None and not remembered.libraries and not file.is_the_users:
            return
        try:
            self._elf = ElfFile(file.path)
        except FileGoneError:
            raise
        except ElfError as error:
            self._error = str(error)
            return
        if remembered is not None and self._elf.identity == file.identity:
            self._search(self._elf)
        elif self._elf.searched_bytes() <= _RECOGNISED_HERE_BYTES:
            self._take_recognition(self._elf, recognise)
        else:
            self._recognise_apart(self._elf)

    def _recognise_apart(self, elf: ElfFile) -> None:
        try:
            self._recognising = RecognitionApart(elf, confine=self._options.confine)
        except OSError as error:
            self.abandon()
            raise FileGoneError(f"{self._file.path}: cannot be looked through now: {error}") from None

    def _take_recognition(self, elf: ElfFile, recognition: Callable[[ElfFile], Recognition]) -> None:
        self._recognition = Recognition()
        try:
            self._recognition = recognition(elf)
            self._recognised.put(elf.identity, self._recognition)
        except ElfError as error:
            self._error = str(error)
        elf.forget()
        self._search(elf)

    def _search(self, elf: ElfFile) -> None:
        self._is_guess = self._file.is_the_users and not self._recognition.libraries
        try:
            for library in LIBRARIES:
                if self._is_guess or library.name in self._recognition.libraries:
                    self._searches.append(LibrarySearch(self._options, self._file.path, elf, library))
        except FileGoneError:
            self.abandon()
            raise

    def advance(self) -> None:
        """Go on, without waiting for anything."""
        if self._recognising and self._recognising.is_done:
            self._end_recognition()

    def _end_recognition(self) -> None:
        assert self._elf is not None
        assert self._recognising is not None
        apart, self._recognising = self._recognising, None
        self._take_recognition(self._elf, lambda _: apart.result())

    @property
    def is_running(self) -> bool:
        """Whether the result is waited for."""
        return self._recognising is not None or any(search.is_running for search in self._searches)

    @property
    def is_done(self) -> bool:
        """Whether the result takes no more waiting."""
        return self._recognising is None and all(search.is_done for search in self._searches)

    def wait(self, until: float) -> bool:
        """Wait for the result, no longer than ``until`` (monotonic seconds); returns whether it is there."""
        if self._recognising:
            if not self._recognising.wait(until):
                return False
            self._end_recognition()
        return all(search.wait(until) for search in self._searches)

    def abandon(self) -> None:
        """Nobody wants the result any more."""
        if self._recognising:
            self._recognising.abandon()
        for search in self._searches:
            search.abandon()
        if self._elf:
            self._elf.close()

    def result(self) -> FilePlan:
        """What was found; closes the file."""
        if self._recognising:
            self._end_recognition()
        plans: list[LibraryPlan] = []
        if self._elf:
            with self._elf:
                plans = [search.result() for search in self._searches]
        plans = [_best(plans)] if self._is_guess else _apart(plans)
        refusals = [
            Refusal(plan.library, _reasons(plan))
            for plan in plans
            if not plan.sites and not plan.is_elsewhere
        ]
        if self._error and self._file.library and not plans:
            refusals.append(Refusal(self._file.library, self._error))
        verdict = FileVerdict(
            path=self._file.shown,
            identity=self._elf.identity if self._elf else self._file.identity,
            libraries=tuple(plan.library for plan in plans if plan.sites),
            refusals=tuple(refusals),
            unsupported=self._recognition.unsupported,
        )
        return FilePlan(path=self._file.path, verdict=verdict, libraries=tuple(plans))


def _recognised(elf: ElfFile) -> tuple[TlsLibrary, ...]:
    try:
        names = recognise(elf).libraries
    except ElfError:
        names = ()
    return tuple(library for library in LIBRARIES if library.name in names)


def _reasons(plan: LibraryPlan) -> str:
    return "; ".join(dict.fromkeys(refusal.reason for refusal in plan.refusals))


class LibraryLocator:
    """Makes plans, and remembers them in ``cache_directory`` (None: not at all).

    ``force_classic`` probes public functions at their first bytes, as other tracers do: slower, for
    comparison. ``confine`` takes the privileges of the processes that analyse.
    """

    def __init__(
        self, cache_directory: Path | None, *, force_classic: bool = False, confine: Confine | None = None
    ) -> None:
        cache = None if force_classic or cache_directory is None else PlanCache(cache_directory)
        self._options = SearchOptions(cache, force_classic, confine)
        self._recognised = RecognitionCache(cache_directory)
        self._at_once = min(os.cpu_count() or 1, _AT_ONCE)

    def locate(self, path: str, library: TlsLibrary | None = None) -> LibraryPlan:
        """The plan for one library in one file; never raises for what is in the file, refuses instead.

        ``library`` None: the first that it turns out to be. Raises ElfError when the file cannot be
        opened or is no x86-64 ELF file.
        """
        with ElfFile(path) as elf:
            candidates = (library,) if library else _recognised(elf) or LIBRARIES
            return _first(self._options, path, elf, candidates)

    def search(self, path: str, library: TlsLibrary) -> FileSearch:
        """Begin to search one file for one library. Raises ElfError as ``locate`` does."""
        return FileSearch(self._options, path, library)

    def remembers(self, identity: FileIdentity) -> bool:
        """Whether it is known what this file may hold, so that a plan costs little."""
        return self._recognised.get(identity) is not None

    def begin(self, file: LibraryFile) -> Examination:
        """Begin to look at one file. Raises FileGoneError."""
        return Examination(self._options, self._recognised, file)

    def remember(self) -> None:
        """Keep on disk what was begun and found, as ``examine`` does by itself."""
        self._recognised.save()

    def examine(self, files: Iterable[LibraryFile], *, until: float = math.inf) -> Iterator[FilePlan]:
        """Plans for all libraries in each of these files, in their order; several are analysed at once.

        Never raises for what is in a file: what holds no library gives a plan of nothing. There is no plan
        for what cannot be opened, nor for what is not known by ``until`` (monotonic seconds).
        """
        waiting: deque[Examination] = deque()
        for file in files:
            if time.monotonic() >= until:
                break
            with suppress(FileGoneError):
                waiting.append(self.begin(file))
            while waiting and (not waiting[0].is_running or len(waiting) > self._at_once):
                yield from _result_of(waiting.popleft(), until)
        while waiting:
            yield from _result_of(waiting.popleft(), until)
        self.remember()


def _result_of(examination: Examination, until: float) -> Iterator[FilePlan]:
    with suppress(FileGoneError):
        if examination.wait(until):
            yield examination.result()
        else:
            examination.abandon()


def _first(
    options: SearchOptions, path: str, elf: ElfFile, candidates: tuple[TlsLibrary, ...]
) -> LibraryPlan:
    """The plan for the first of the candidates that is in the file, else the refusal of the first."""
    plans: list[LibraryPlan] = []
    for candidate in candidates:
        plans.append(LibrarySearch(options, path, elf, candidate).result())
        if plans[-1].sites:
            break
    return _best(plans)


def _best(plans: Sequence[LibraryPlan]) -> LibraryPlan:
    return next((plan for plan in plans if plan.sites), plans[0])


def _apart(plans: list[LibraryPlan]) -> list[LibraryPlan]:
    """The same without libraries whose functions are those of another one before them."""
    kept: list[LibraryPlan] = []
    taken: set[int] = set()
    for plan in plans:
        places = {site.file_offset for site in plan.sites}
        if not places & taken:
            kept.append(plan)
            taken |= places
    return kept
