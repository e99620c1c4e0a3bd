# SPDX-License-Identifier: Apache-2.0
"""Which library files there are to attach to: on disk ahead of need, and mapped by processes."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from otel_qtap.discovery.elf import ElfError
from otel_qtap.discovery.inodes import InodeMap, identify
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.linker import library_paths
from otel_qtap.discovery.mappings import LibraryFiles, Mapping, library_mappings
from otel_qtap.discovery.plan import FileIdentity, LibraryPlan
from otel_qtap.probes.registry import LIBRARIES

KernelFile = tuple[int, int]
"""Inode number and device, as the kernel's notices name a file."""


@dataclass(slots=True, kw_only=True)
class ScanResult:
    """What processes map of files that have the name of a TLS library.

    ``plans`` are new: each state of a file is handed out once. ``processes`` map a library that can be
    probed, be its plan new or not. ``files`` are all that were seen, each with whether it can be
    probed, and ``kernel_files`` the same files by the names that the kernel may have for them.
    """

    plans: list[LibraryPlan] = field(default_factory=list)
    processes: set[int] = field(default_factory=set)
    files: InodeMap[bool] = field(default_factory=InodeMap)
    kernel_files: dict[KernelFile, FileIdentity] = field(default_factory=dict)

    def can_be_probed(self, identity: FileIdentity) -> bool:
        """Whether this file was seen and can be probed."""
        found = self.files.get(identity)
        return found is not None and found[1]

    def identity(self, inode: int) -> FileIdentity | None:
        """The file with this inode number, if one was seen; rather one that can be probed.

        By this a kernel notice about one process is known to be about a library. Its device must not
        be compared: on overlays and btrfs the kernel's own differs from the one that is shown.
        """
        found = [identity for (number, _), identity in self.kernel_files.items() if number == inode]
        return max(found, key=self.can_be_probed, default=None)


class LibraryScanner:
    """Finds library files and plans each of them once, those without a usable site included.

    ``proc`` is where procfs is mounted. ``roots`` are the file systems to look through ahead of
    need; for an agent in a container ``/proc/1/root`` is that of the host. ``named`` are paths of
    further library files, whatever their names (programs that hold a TLS library, too).
    """

    def __init__(
        self,
        locator: LibraryLocator,
        *,
        proc: str = "/proc",
        roots: tuple[str, ...] = ("/", "/proc/1/root"),
        named: tuple[str, ...] = (),
    ) -> None:
        self._locator = locator
        self._proc = proc
        self._roots = roots
        self._named = named
        self._files = LibraryFiles(LIBRARIES, named)
        self._known: InodeMap[bool] = InodeMap()
        """Files that were handed out, in the state that they had, with whether they can be probed."""

    @property
    def name_marks(self) -> tuple[bytes, ...]:
        """A file whose name holds none of these is never a library."""
        return self._files.marks

    def ahead_of_need(self) -> tuple[LibraryPlan, ...]:
        """New plans for the libraries that the dynamic linker would find, and for the named ones."""
        paths = [*self._named]
        for root in self._roots:
            paths += sorted(path for path in library_paths(root) if self._files.contain(path))
        found = ((path, identify(path)) for path in paths)
        plans = (self._meet(path, path, identity)[0] for path, identity in found if identity)
        return tuple(plan for plan in plans if plan)

    def mapped_now(self) -> ScanResult:
        """All processes, as they run now."""
        result = ScanResult()
        usable: dict[tuple[str, int, str], bool] = {}
        for pid in process_ids(self._proc):
            for mapping in library_mappings(self._proc, pid, self._files, executable=True):
                file = (mapping.device, mapping.inode, mapping.path)
                # One process stands for all that map the file, unless it has ended meanwhile.
                if file not in usable and (met := self._look_at(mapping, result)) is not None:
                    usable[file] = met
                if usable.get(file):
                    result.processes.add(pid)
        # What cannot be probed and is in nobody's memory any more would only pile up.
        self._known.keep(lambda identity, can_be_probed: can_be_probed or identity in result.files)
        return result

    def mapped_by(self, pid: int) -> ScanResult:
        """One process: the answer to a kernel notice.

        The notice comes when the code segment is about to be mapped; the linker has mapped the
        file's head read-only before, so mappings of any kind count.
        """
        result = ScanResult()
        for mapping in library_mappings(self._proc, pid, self._files, executable=False):
            if self._look_at(mapping, result):
                result.processes.add(pid)
        return result

    def forget(self, identity: FileIdentity) -> None:
        """Hand this file out again when it is met next, because it is not attached to."""
        self._known.remove(identity)

    def _look_at(self, mapping: Mapping, result: ScanResult) -> bool | None:
        """Whether a mapped file can be probed; None when it cannot be reached."""
        reached = self._reach(mapping)
        if reached is None:
            return None
        path, identity = reached
        plan, usable = self._meet(path, mapping.path, identity)
        if plan:
            result.plans.append(plan)
        result.files.set(identity, usable)
        result.kernel_files[mapping.inode, mapping.kernel_device] = identity
        result.kernel_files[identity.inode, identity.kernel_device] = identity
        return usable

    def _reach(self, mapping: Mapping) -> tuple[str, FileIdentity] | None:
        """How to open a mapped file from here, whatever mount namespace the process lives in.

        map_files leads to the mapped file itself, deleted or not, but needs CAP_SYS_ADMIN or
        CAP_CHECKPOINT_RESTORE. By its path a file is found that may have taken its place.
        """
        process = f"{self._proc}/{mapping.pid}"
        path = f"{process}/map_files/{mapping.address_range}"
        if identity := identify(path):
            return path, identity
        path = f"{process}/root{mapping.path}"
        identity = identify(path)
        if identity and (identity.is_stacked or identity.inode == mapping.inode):
            return path, identity
        return None

    def _meet(self, path: str, name: str, identity: FileIdentity) -> tuple[LibraryPlan | None, bool]:
        """(plan of a file that was not met in this state before, whether the file can be probed)."""
        known = self._known.get(identity)
        if known and (known[0].mtime_ns, known[0].size) == (identity.mtime_ns, identity.size):
            return None, known[1]
        try:
            plan = self._locator.locate(path, self._files.library(name))
        except ElfError:
            return None, False
        self._known.set(plan.identity, bool(plan.sites))
        return plan, bool(plan.sites)


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
