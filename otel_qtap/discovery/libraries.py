# SPDX-License-Identifier: Apache-2.0
"""A library file in, a plan of what to attach out.

An analysis takes 30 ms in a process of its own; a remembered one takes less than 1 ms.
"""

from pathlib import Path

from otel_qtap.discovery.analysis_process import Confine, analyse_apart
from otel_qtap.discovery.elf import ElfError, ElfFile
from otel_qtap.discovery.plan import Analysis, LibraryPlan, Refusal
from otel_qtap.discovery.plan_cache import PlanCache
from otel_qtap.probes.registry import LIBRARIES
from otel_qtap.probes.spec import UNKNOWN_LAYOUT, TlsLibrary

__all__ = ["LibraryLocator", "LibraryPlan"]


class LibraryLocator:
    """Makes plans, and remembers them in ``cache_directory`` (None: not at all).

    ``force_classic`` probes public functions at their first bytes, as other tracers do: slower, for
    comparison. ``confine`` takes the privileges of the processes that analyse.
    """

    def __init__(
        self, cache_directory: Path | None, *, force_classic: bool = False, confine: Confine | None = None
    ) -> None:
        self._confine = confine
        self._cache = None if force_classic or cache_directory is None else PlanCache(cache_directory)
        self._force_classic = force_classic

    def locate(self, path: str, library: TlsLibrary | None = None) -> LibraryPlan:
        """The plan for one file; never raises for what is in the file, refuses instead.

        ``library`` None: the first that it turns out to be. Raises ElfError when the file cannot be
        opened or is no x86-64 ELF file.
        """
        with ElfFile(path) as elf:
            candidates = (library,) if library else LIBRARIES
            plans = (self._plan(path, elf, candidate) for candidate in candidates)
            first = next(plans)
            return first if first.sites else next((plan for plan in plans if plan.sites), first)

    def _plan(self, path: str, elf: ElfFile, library: TlsLibrary) -> LibraryPlan:
        try:
            found = self._found(elf, library)
            build_id, release = elf.build_id, elf.release
        except ElfError as error:
            refusals = (Refusal(library.name, str(error)),)
            found, build_id, release = Analysis((), UNKNOWN_LAYOUT, refusals), "", ""
        return LibraryPlan(
            path=path,
            identity=elf.identity,
            library=library.name,
            build_id=build_id,
            release=release,
            sites=found.sites,
            layout=found.layout,
            refusals=found.refusals,
        )

    def _found(self, elf: ElfFile, library: TlsLibrary) -> Analysis:
        if self._cache and (remembered := self._cache.get(elf, library)):
            return remembered
        found = analyse_apart(elf, library, force_classic=self._force_classic, confine=self._confine)
        if self._cache:
            self._cache.put(elf, library, found)
        return found
