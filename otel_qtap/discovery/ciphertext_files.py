# SPDX-License-Identifier: Apache-2.0
"""Where the OpenSSL of one process hands its ciphertext on."""

from collections.abc import Collection
from itertools import islice

from otel_qtap.discovery.errors import ElfError, FileGoneError
from otel_qtap.discovery.inodes import identify
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.library_search import FileSearch
from otel_qtap.discovery.mappings import Mapping, code_mappings, read_maps
from otel_qtap.discovery.plan import FileIdentity, LibraryPlan
from otel_qtap.probes import ciphertext

_MOST_FILES = 16
"""Of one process that are searched; anybody can give files the names of copies of libcrypto."""
_MOST_NAMED_SO = 256
_MOST_REMEMBERED = 4096


class CiphertextSearch:
    """The search for ``BIO_write`` in the files of one process, one after the other: nobody waits for it."""

    def __init__(self, locator: LibraryLocator, nothing: dict[FileIdentity, None], paths: list[str]) -> None:
        self._locator = locator
        self._nothing = nothing
        self._paths = paths
        self._running: FileSearch | None = None
        self.plans: list[LibraryPlan] = []
        """For the files that define it, of those that were searched until now."""

    @property
    def is_done(self) -> bool:
        """Whether all files were searched."""
        return not self._paths and not self._running

    @property
    def is_running(self) -> bool:
        """Whether an analysis is waited for."""
        return self._running is not None

    def advance(self, *, may_begin: bool = True) -> None:
        """Go on, without waiting for anything; the next file is begun with if that ``may`` be."""
        if self._running:
            self._collect()  # and leave the next file for later: others may want a turn
        elif self._paths and may_begin:
            self._begin(self._paths.pop(0))
            self._collect()

    def _begin(self, path: str) -> None:
        try:
            self._running = self._locator.search(path, ciphertext.LIBRARY)
        except FileGoneError:
            pass  # nothing is known of it
        except ElfError:
            if identity := identify(path):
                self._remember(identity)

    def _collect(self) -> None:
        if self._running is None or not self._running.is_done:
            return
        search, self._running = self._running, None
        plan = search.result()
        if plan.sites:
            self.plans.append(plan)
        else:
            self._remember(plan.identity)

    def abandon(self) -> None:
        """Nobody wants to know any more."""
        self._paths = []
        if self._running:
            self._running.abandon()
            self._running = None

    def _remember(self, identity: FileIdentity) -> None:
        self._nothing[identity] = None
        if len(self._nothing) > _MOST_REMEMBERED:
            del self._nothing[next(iter(self._nothing))]


class CiphertextFiles:
    """Finds ``BIO_write`` in what a process maps."""

    def __init__(self, locator: LibraryLocator, *, proc: str = "/proc") -> None:
        self._locator = locator
        self._proc = proc
        self._nothing: dict[FileIdentity, None] = {}
        """Files that were searched in vain, in the state that they had."""

    def search(self, pid: int, also: Collection[str] = ()) -> CiphertextSearch:
        """Through the files of this process that may define it: copies of libcrypto, and ``also``, paths as
        the process sees them, of those that hold libcrypto too. Done at once when the process is gone."""
        named = (
            mapping
            for mapping in code_mappings(read_maps(self._proc, pid), pid)
            if mapping.path in also or _is_named_so(mapping)
        )
        paths: dict[FileIdentity, str] = {}
        for mapping in islice(named, _MOST_NAMED_SO):
            path = f"{self._proc}/{pid}/map_files/{mapping.address_range}"
            identity = identify(path)
            if identity is None:
                path = f"{self._proc}/{pid}/root{mapping.path}"
                identity = identify(path)
            if identity and identity not in self._nothing:
                paths.setdefault(identity, path)
        return CiphertextSearch(self._locator, self._nothing, list(paths.values())[:_MOST_FILES])


def _is_named_so(mapping: Mapping) -> bool:
    name = mapping.path.rpartition("/")[2]
    return all(mark in name for mark in ciphertext.LIBRARY.path_marks)
