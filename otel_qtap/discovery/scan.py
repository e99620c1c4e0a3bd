# SPDX-License-Identifier: Apache-2.0
"""Which files there are to attach to: on disk ahead of need, and mapped as code by processes."""

import logging
import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from otel_qtap.discovery.examinations import Examinations
from otel_qtap.discovery.inodes import InodeMap, identify, is_unchanged
from otel_qtap.discovery.libraries import LibraryFile, LibraryLocator
from otel_qtap.discovery.library_names import LibraryNames
from otel_qtap.discovery.linker import library_paths
from otel_qtap.discovery.mappings import Mapping, code_mappings, inode_mappings, read_maps
from otel_qtap.discovery.plan import FileIdentity, FilePlan, FileVerdict
from otel_qtap.discovery.programs import large_programs
from otel_qtap.probes.registry import LIBRARIES

KernelFile = tuple[int, int]
"""Inode number and device, as the kernel's notices name a file."""

TakePlan = Callable[[FilePlan], None]
"""Is given the plan of each file that is new, as soon as it is there."""

_Shown = tuple[int, int, str]
"""A file as processes show it: device in the kernel's form, inode number, path."""

MOST_FILES = 2048
"""Files of one process that are looked at, besides those that the kernel told of: several times what the
largest programs map as code. Each look at a process costs the more, the more there are."""
_BYTES_A_FILE = 4096
"""Of a memory map, which cost as much to read as one file does to be identified."""

logger = logging.getLogger(__name__)


class _Reached(NamedTuple):
    """A file that can be opened."""

    path: str
    """How it is opened from here."""
    shown: str
    """Its path as the processes see it."""
    identity: FileIdentity
    process: int = 0
    """One that maps it."""


@dataclass(slots=True)
class ScanResult:
    """What processes map as code.

    ``processes`` map a library that can be probed. ``files`` are all that were seen, each with whether it can
    be probed, and ``kernel_files`` the same files by the names that the kernel may have for them. ``awaited``
    are inode numbers of others, which are looked at just now or will be. ``written`` are files that were
    looked at in another state than they have. ``work`` is what it took to find out, in files.
    """

    processes: set[int] = field(default_factory=set)
    files: InodeMap[bool] = field(default_factory=InodeMap)
    awaited: set[int] = field(default_factory=set)
    written: list[FileIdentity] = field(default_factory=list)
    kernel_files: dict[KernelFile, FileIdentity] = field(default_factory=dict)
    work: int = 0
    _numbers: dict[int, FileIdentity] = field(default_factory=dict)

    def add(self, shown: KernelFile, identity: FileIdentity, *, can_be_probed: bool) -> None:
        """This file was seen, by this name."""
        self.files.set(identity, can_be_probed)
        for file in (shown, (identity.inode, identity.kernel_device)):
            self.kernel_files[file] = identity
            if can_be_probed or file[0] not in self._numbers:
                self._numbers[file[0]] = identity

    def can_be_probed(self, identity: FileIdentity) -> bool:
        """Whether this file was seen and can be probed."""
        found = self.files.get(identity)
        return found is not None and found[1]

    def identity(self, inode: int) -> FileIdentity | None:
        """The file with this inode number, if one was seen; rather one that can be probed.

        By this a kernel notice about one process is known to be about a library. Its device must not
        be compared: on overlays and btrfs the kernel's own differs from the one that is shown.
        """
        return self._numbers.get(inode)


class LibraryScanner:
    """Finds files that hold TLS libraries and plans each of them once in each state of it.

    ``proc`` is where procfs is mounted. ``roots`` are the file systems to look through ahead of
    need; for an agent in a container ``/proc/1/root`` is that of the host. ``named`` are paths of
    files that hold a library even where none is recognised.
    ``programs``: whether to look ahead of need at programs that nobody runs, too. ``patience``: so many
    seconds are waited for files, all in all; what is not known by then is left to ``advance``.
    """

    def __init__(
        self,
        locator: LibraryLocator,
        *,
        proc: str = "/proc",
        roots: tuple[str, ...] = ("/", "/proc/1/root"),
        named: tuple[str, ...] = (),
        programs: bool = True,
        patience: float = math.inf,
    ) -> None:
        self._locator = locator
        self._looks_at_programs = programs
        self._proc = proc
        self._roots = roots
        self._named = named
        self._names = LibraryNames(LIBRARIES, named)
        self._known: InodeMap[FileVerdict | None] = InodeMap()
        """Files that were looked at, in the state that they had; None: nothing is to be told of it."""
        self._again: InodeMap[None] = InodeMap()
        self._examinations = Examinations(locator)
        self._told_of_many = False
        self._patience = patience
        self._until: float | None = None
        """When it is over (monotonic seconds), from the first wait on."""
        self._told_of_late = False

    def ahead_of_need(self, take: TakePlan) -> None:
        """Plan the libraries that the dynamic linker would find, the named ones, and programs that may have a
        library linked in. Of these, what was never seen before waits for ``advance``."""
        paths = [*self._named]
        for root in self._roots:
            paths += sorted(path for path in library_paths(root) if path in self._names)
        late = self._meet(_identified(paths), take)
        roots = self._roots if self._looks_at_programs else ()
        programs = _identified([path for root in roots for path in large_programs(root)])
        late += self._meet([each for each in programs if self._locator.remembers(each.identity)], take)
        unseen = [each for each in programs if not self._locator.remembers(each.identity)]
        self._examinations.add_later([*late, *self._fresh(unseen)])

    @property
    def is_busy(self) -> bool:
        """Whether ``advance`` has work, now or in a moment."""
        return self._examinations.is_busy

    def advance(self, take: TakePlan) -> None:
        """Go on with what is looked at, without waiting for anything."""
        for plan in self._examinations.advance():
            if not self._is_known(plan.identity):
                self._take(plan, take)

    def stop(self) -> None:
        """Leave what is not looked at yet."""
        self._examinations.stop()

    def mapped_now(self, take: TakePlan, *, wait: bool = False) -> ScanResult:
        """All processes, as they run now. What is new among their files is looked at before this returns if
        it shall ``wait``, else in ``advance``."""
        reached: dict[_Shown, _Reached] = {}
        users: list[tuple[int, list[_Shown]]] = []
        for pid in process_ids(self._proc):
            mappings = self._code_mappings(read_maps(self._proc, pid), pid)
            users.append((pid, list(self._reach_all(mappings, reached))))
        result = self._result(users, reached, take, wait=wait)
        # What holds nothing and is in nobody's memory any more would only pile up.
        self._again.keep(lambda identity, _: identity in result.files)
        self._known.keep(
            lambda identity, verdict: (
                identity in result.files or (_is_probed(verdict) and identity not in self._again)
            )
        )
        return result

    def mapped_by(
        self, pid: int, inodes: Collection[int], take: TakePlan, *, wait: bool = False
    ) -> ScanResult:
        """One process: the answer to kernel notices about files with these inode numbers.

        The notice comes when code is about to be mapped; the linker has mapped the file's head read-only
        before, so that file's mappings of any kind count.
        """
        maps = read_maps(self._proc, pid)
        reached: dict[_Shown, _Reached] = {}
        told_of = islice(inode_mappings(maps, pid, inodes), MOST_FILES)  # by as many paths
        mappings = [*told_of, *self._code_mappings(maps, pid)]
        result = self._result([(pid, list(self._reach_all(mappings, reached)))], reached, take, wait=wait)
        result.work = len(mappings) + len(maps) // _BYTES_A_FILE + 1
        return result

    def verdicts(self, pid: int) -> tuple[FileVerdict, ...]:
        """What is known of the files that a process maps as code: of those that have to do with TLS, and of
        those that may, for they are still looked at."""
        reached: dict[_Shown, _Reached] = {}
        list(self._reach_all(self._code_mappings(read_maps(self._proc, pid), pid), reached))
        found = (self._verdict(file) for file in reached.values())
        return tuple(verdict for verdict in found if verdict)

    def _verdict(self, file: _Reached) -> FileVerdict | None:
        known = self._known.get(file.identity)
        if known is not None:
            return known[1]
        if self._is_awaited(file):
            return FileVerdict(path=file.shown, identity=file.identity, is_awaited=True)
        return None

    def _is_awaited(self, file: _Reached) -> bool:
        return file.identity in self._examinations or self._examinations.is_full(file.process)

    def try_again(self, identity: FileIdentity) -> None:
        """Plan this file again when it is met next, because it could not be attached to."""
        self._again.set(identity, None)

    def forget(self, identity: FileIdentity) -> None:
        """Nobody uses this file any more."""
        self._known.remove(identity)
        self._again.remove(identity)

    def _code_mappings(self, maps: bytes, pid: int) -> Iterator[Mapping]:
        mappings = code_mappings(maps, pid)
        yield from islice(mappings, MOST_FILES)
        if not self._told_of_many and next(mappings, None):
            self._told_of_many = True  # once: whoever does it, does it often
            logger.warning(
                "process %d maps more than %d files as code: of such processes the first files are looked at",
                pid,
                MOST_FILES,
                extra={"event_name": "otel_qtap.discovery.many_files"},
            )

    def _reach_all(self, mappings: Iterable[Mapping], reached: dict[_Shown, _Reached]) -> Iterator[_Shown]:
        """Those that can be reached; ``reached`` says how, by one process for all that map the file."""
        for mapping in mappings:
            shown = (mapping.kernel_device, mapping.inode, mapping.path)
            if shown not in reached and (found := self._reach(mapping)):
                reached[shown] = found
            if shown in reached:
                yield shown

    def _reach(self, mapping: Mapping) -> _Reached | None:
        """How to open a mapped file from here, whatever mount namespace the process lives in.

        map_files leads to the mapped file itself, deleted or not, but needs CAP_SYS_ADMIN or
        CAP_CHECKPOINT_RESTORE. By its path a file is found that may have taken its place.
        """
        process = f"{self._proc}/{mapping.pid}"
        path = f"{process}/map_files/{mapping.address_range}"
        if identity := identify(path):
            return _Reached(path, mapping.path, identity, mapping.pid)
        path = f"{process}/root{mapping.path}"
        identity = identify(path)
        if identity and (identity.is_stacked or identity.inode == mapping.inode):
            return _Reached(path, mapping.path, identity, mapping.pid)
        return None

    def _result(
        self,
        users: list[tuple[int, list[_Shown]]],
        reached: dict[_Shown, _Reached],
        take: TakePlan,
        *,
        wait: bool,
    ) -> ScanResult:
        if wait:
            self._examinations.add(self._meet(reached.values(), take))
        else:
            unknown = (file for file in reached.values() if file.identity not in self._examinations)
            self._examinations.add(self._fresh(unknown))
            self.advance(take)
        result = ScanResult()
        usable = set()
        for shown, file in reached.items():
            known = self._known.get(file.identity)
            if known is not None and not is_unchanged(known[0], file.identity):
                result.written.append(file.identity)
                known = None
            if known is None:
                if self._is_awaited(file):
                    result.awaited.add(file.identity.inode)
                continue  # else it could not be opened
            can_be_probed = _is_probed(known[1])
            device, inode, _ = shown
            result.add((inode, device), file.identity, can_be_probed=can_be_probed)
            if can_be_probed:
                usable.add(shown)
        result.processes = {pid for pid, files in users if not usable.isdisjoint(files)}
        return result

    def _meet(self, files: Iterable[_Reached], take: TakePlan) -> list[LibraryFile]:
        """Look at these now; returns those for which there is no time."""
        if self._until is None:
            self._until = time.monotonic() + self._patience
        fresh = self._fresh(files)
        for plan in self._locator.examine(fresh, until=self._until):
            self._take(plan, take)
        if time.monotonic() < self._until:
            return []
        late = [file for file in fresh if not self._is_known(file.identity)]
        if late and not self._told_of_late:
            self._told_of_late = True
            logger.warning(
                "%d files could not be looked at within %g s and are looked at meanwhile: who runs with a "
                "TLS library in one of them is captured as soon as that is known",
                len(late),
                self._patience,
                extra={"event_name": "otel_qtap.discovery.late"},
            )
        return late

    def _take(self, plan: FilePlan, take: TakePlan) -> None:
        was_known = plan.identity in self._known
        self._known.set(plan.identity, plan.verdict if plan.verdict.is_about_tls else None)
        self._again.remove(plan.identity)
        if plan.libraries or was_known:
            take(plan)

    def _fresh(self, files: Iterable[_Reached]) -> list[LibraryFile]:
        """Those that were not met before in their present state: the likely first, then the small."""
        fresh: InodeMap[LibraryFile] = InodeMap()
        for path, name, identity, process in files:
            if self._is_known(identity) or identity in fresh:
                continue
            library, is_the_users = self._names.library(name), self._names.are_the_users(name)
            fresh.set(identity, LibraryFile(path, name, identity, library, is_the_users, process))
        return sorted(
            (file for _, file in fresh),
            key=lambda file: (not (file.library or file.is_the_users), file.identity.size),
        )

    def _is_known(self, identity: FileIdentity) -> bool:
        known = self._known.get(identity)
        if known is None or identity in self._again:
            return False
        return is_unchanged(known[0], identity)


def _identified(paths: Iterable[str]) -> list[_Reached]:
    found = ((path, path, identify(path)) for path in paths)
    return [_Reached(path, name, identity) for path, name, identity in found if identity]


def _is_probed(verdict: FileVerdict | None) -> bool:
    return verdict is not None and bool(verdict.libraries)


def shown_path(path: str) -> str:
    """The path as users know it, instead of our way to it through /proc and through links."""
    found = Path(path)
    if "/map_files/" in path:
        with suppress(OSError):
            return str(found.readlink())
    return str(found.resolve())


def process_ids(proc: str = "/proc") -> list[int]:
    """Ids of all processes, ascending."""
    with os.scandir(proc) as entries:
        return sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
