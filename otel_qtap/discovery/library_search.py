# SPDX-License-Identifier: Apache-2.0
"""The search for one library in one open file: remembered, or made in a process of its own."""

from typing import NamedTuple

from otel_qtap.discovery.analysis_process import AnalysisApart, Confine
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError, FileGoneError
from otel_qtap.discovery.plan import Analysis, LibraryPlan, Refusal
from otel_qtap.discovery.plan_cache import PlanCache
from otel_qtap.probes.spec import UNKNOWN_LAYOUT, TlsLibrary

_COMPARED_AT_ONCE = 16 << 20
"""Bytes that take 10 ms to see whether what is remembered holds; more are compared apart."""


class SearchOptions(NamedTuple):
    """How libraries are searched for."""

    cache: PlanCache | None = None
    force_classic: bool = False
    """Public functions at their first bytes, as other tracers probe them."""
    confine: Confine | None = None
    """Takes the privileges of the processes that analyse."""


class LibrarySearch:
    """Begins at once. The file must stay open until the ``result`` is there.

    Raises FileGoneError when there is no process or descriptor to be had for it.
    """

    def __init__(self, options: SearchOptions, path: str, elf: ElfFile, library: TlsLibrary) -> None:
        self._options, self._path, self._elf, self._library = options, path, elf, library
        self._analysis: AnalysisApart | None = None
        self._found: Analysis | None = None
        self._remembered: Analysis | None = None
        try:
            self._recall()
            if self._found:
                return
            self._analysis = AnalysisApart(
                elf,
                library,
                force_classic=options.force_classic,
                remembered=self._remembered,
                confine=options.confine,
            )
        except OSError as error:
            raise FileGoneError(f"{path}: cannot be analysed now: {error}") from None
        except ElfError as error:
            self._found = self._refused(error)

    def _recall(self) -> None:
        """Take what is remembered if it holds, or have it compared apart."""
        cache = self._options.cache
        self._remembered = cache.get(self._elf, self._library) if cache else None
        evidence = self._remembered.evidence if self._remembered else None
        if evidence and evidence.size <= _COMPARED_AT_ONCE:
            if self._elf.confirms(evidence):
                self._found = self._remembered
            self._remembered = None

    @property
    def is_running(self) -> bool:
        """Whether the result is waited for."""
        return self._analysis is not None

    @property
    def is_done(self) -> bool:
        """Whether the result takes no more waiting."""
        return self._analysis is None or self._analysis.is_done

    def wait(self, until: float) -> bool:
        """Wait for the result, no longer than ``until`` (monotonic seconds); returns whether it is there."""
        return self._analysis is None or self._analysis.wait(until)

    def abandon(self) -> None:
        """Nobody wants the result any more."""
        if self._analysis:
            self._analysis.abandon()

    def result(self) -> LibraryPlan:
        """The plan; never raises for what is in the file, refuses instead."""
        build_id = ""
        try:
            found = self._found or self._finished()
            build_id = self._elf.build_id
        except ElfError as error:
            found = self._refused(error)
        return LibraryPlan(
            path=self._path,
            identity=self._elf.identity,
            library=self._library.name,
            build_id=build_id,
            release=found.release,
            sites=found.sites,
            layout=found.layout,
            refusals=found.refusals,
            by_code=found.by_code,
        )

    def _finished(self) -> Analysis:
        assert self._analysis is not None
        analysis, self._analysis = self._analysis, None
        found = analysis.result()
        if self._options.cache and found != self._remembered:
            self._options.cache.put(self._elf, self._library, found)
        return found

    def _refused(self, error: ElfError) -> Analysis:
        return Analysis((), UNKNOWN_LAYOUT, (Refusal(self._library.name, str(error)),))


class FileSearch:
    """The search for one library in a file that is opened for it. Raises ElfError, or FileGoneError."""

    def __init__(self, options: SearchOptions, path: str, library: TlsLibrary) -> None:
        self._elf = ElfFile(path)
        try:
            self._search = LibrarySearch(options, path, self._elf, library)
        except FileGoneError:
            self._elf.close()
            raise

    @property
    def is_done(self) -> bool:
        """Whether the result takes no more waiting."""
        return self._search.is_done

    def abandon(self) -> None:
        """Nobody wants the result any more."""
        self._search.abandon()
        self._elf.close()

    def result(self) -> LibraryPlan:
        """The plan; closes the file."""
        with self._elf:
            return self._search.result()
