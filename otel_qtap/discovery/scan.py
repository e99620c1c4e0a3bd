# SPDX-License-Identifier: Apache-2.0
"""Which library files there are to attach to: on disk ahead of need, and mapped by processes."""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from otel_qtap.discovery.elf import ElfError
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.linker import library_paths
from otel_qtap.discovery.mappings import LibraryFiles, Mapping, library_mappings
from otel_qtap.discovery.plan import FileIdentity, LibraryPlan
from otel_qtap.probes.registry import LIBRARIES

_OVERLAYFS_MAGIC = 0x794C7630
_OVERLAY_DEVICE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """``plans`` are new: each file is handed out once.

    ``processes`` map a library that can be probed, be its plan new or not; ``files`` are the
    libraries that they map.
    """

    plans: tuple[LibraryPlan, ...]
    processes: frozenset[int]
    files: frozenset[FileIdentity]

    def maps(self, identity: FileIdentity) -> bool:
        """Whether any process maps this file."""
        return identity in self.files or identity._replace(device=_OVERLAY_DEVICE) in self.files


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
        self._known: dict[FileIdentity, bool] = {}
        """Files that were handed out, with whether they can be probed."""

    def ahead_of_need(self) -> tuple[LibraryPlan, ...]:
        """New plans for the libraries that the dynamic linker would find, and for the named ones."""
        paths = [*self._named]
        for root in self._roots:
            paths += sorted(path for path in library_paths(root) if self._files.contain(path))
        return tuple(plan for path in paths if (plan := self._meet(path, path)[0]))

    def mapped_now(self) -> ScanResult:
        """New plans for the libraries that any running process maps."""
        plans: list[LibraryPlan] = []
        usable: dict[tuple[str, int, str], bool] = {}
        files = set()
        processes = set()
        for pid in process_ids(self._proc):
            for mapping in library_mappings(self._proc, pid, self._files, executable=True):
                file = (mapping.device, mapping.inode, mapping.path)
                # One process stands for all that map the file, unless it has ended meanwhile.
                if file not in usable and (path := self._path(mapping)):
                    plan, usable[file] = self._meet(path, mapping.path)
                    if usable[file] and (identity := _identity(path)):
                        files.add(identity)
                    if plan:
                        plans.append(plan)
                if usable.get(file):
                    processes.add(pid)
        return ScanResult(plans=tuple(plans), processes=frozenset(processes), files=frozenset(files))

    def inspect_mapping(self, pid: int) -> tuple[LibraryPlan, ...]:
        """New plans for what one process maps: the answer to a kernel notice.

        The notice comes when the code segment is about to be mapped; the linker has mapped the
        file's head read-only before, so mappings of any kind count. The notice's inode
        is not asked for, because a stacked file system shows another one here.
        """
        plans = []
        for mapping in library_mappings(self._proc, pid, self._files, executable=False):
            path = self._path(mapping)
            if path and (plan := self._meet(path, mapping.path)[0]):
                plans.append(plan)
        return tuple(plans)

    def library_inodes(self, pid: int) -> frozenset[int]:
        """Inode numbers of the files in a process that were planned and can be probed.

        By these a kernel notice about one of them is known. Its device must not be compared: on
        overlays and btrfs the kernel's own differs from the one that stat shows.
        """
        inodes = set()
        for mapping in library_mappings(self._proc, pid, self._files, executable=False):
            path = self._path(mapping)
            identity = _identity(path) if path else None
            if identity and self._known.get(identity):
                inodes |= {mapping.inode, identity.inode}
        return frozenset(inodes)

    def forget(self, identity: FileIdentity) -> None:
        """Hand this file out again when it is met next, because it could not be attached to."""
        self._known.pop(identity, None)
        self._known.pop(identity._replace(device=_OVERLAY_DEVICE), None)

    def _path(self, mapping: Mapping) -> str | None:
        """How to open a mapped file from here.

        map_files leads to the mapped file itself, deleted or not, but needs CAP_SYS_ADMIN or
        CAP_CHECKPOINT_RESTORE.
        """
        process = f"{self._proc}/{mapping.pid}"
        for path in (f"{process}/map_files/{mapping.address_range}", f"{process}/root{mapping.path}"):
            try:
                if Path(path).exists():
                    return path
            except OSError:
                continue
        return None

    def _meet(self, path: str, name: str) -> tuple[LibraryPlan | None, bool]:
        """(plan of a file that was not met before, whether the file can be probed)."""
        identity = _identity(path)
        if identity is None:
            return None, False
        if identity in self._known:
            return None, self._known[identity]
        try:
            plan = self._locator.locate(path, self._files.library(name))
        except ElfError:
            return None, False
        self._known[identity] = bool(plan.sites)
        return plan, bool(plan.sites)


def process_ids(proc: str = "/proc") -> list[int]:
    """Ids of all processes, ascending."""
    with os.scandir(proc) as entries:
        return sorted(int(entry.name) for entry in entries if entry.name.isdecimal())


def _identity(path: str) -> FileIdentity | None:
    """Identity of a file, without its device if it is on an overlay; None when there is no such file.

    Probes sit on the file below the overlay. Containers of one image share that file while stat
    gives each a device of its own: without this the file would be probed once a container.
    """
    try:
        status = Path(path).stat()
    except OSError:
        return None
    overlay = os.major(status.st_dev) == 0 and _file_system(path) == _OVERLAYFS_MAGIC
    device = _OVERLAY_DEVICE if overlay else status.st_dev
    return FileIdentity(device, status.st_ino, status.st_mtime_ns, status.st_size)


def _file_system(path: str) -> int:
    """Magic number of a path's file system (statfs(2)); 0 when it cannot be asked."""
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None).statfs(os.fsencode(path), buffer):
        return 0
    return int.from_bytes(buffer.raw[:8], "little")
