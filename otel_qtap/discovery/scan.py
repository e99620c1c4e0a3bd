# SPDX-License-Identifier: Apache-2.0
"""Which library files there are to attach to: on disk ahead of need, and mapped by processes."""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from otel_qtap.discovery.elf import ElfError
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.linker import library_paths
from otel_qtap.discovery.mappings import Mapping, library_mappings, library_of
from otel_qtap.discovery.plan import FileIdentity, LibraryPlan
from otel_qtap.probes.registry import LIBRARIES
from otel_qtap.probes.spec import TlsLibrary

_OVERLAYFS_MAGIC = 0x794C7630
_OVERLAY_DEVICE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """``plans`` are new: each file is handed out once. ``processes`` map any library, new or not."""

    plans: tuple[LibraryPlan, ...]
    processes: frozenset[int]


class LibraryScanner:
    """Finds library files and plans each of them once, those without a usable site included.

    ``proc`` is where procfs is mounted. ``roots`` are the file systems to look through ahead of
    need; for an agent in a container ``/proc/1/root`` is that of the host.
    """

    def __init__(
        self,
        locator: LibraryLocator,
        *,
        proc: str = "/proc",
        roots: tuple[str, ...] = ("/", "/proc/1/root"),
        libraries: tuple[TlsLibrary, ...] = LIBRARIES,
    ) -> None:
        self._locator = locator
        self._proc = proc
        self._roots = roots
        self._libraries = libraries
        self._known: set[FileIdentity] = set()

    def ahead_of_need(self) -> tuple[LibraryPlan, ...]:
        """New plans for the libraries that the dynamic linker would find."""
        plans = []
        for root in self._roots:
            for path in sorted(library_paths(root)):
                library = library_of(path, self._libraries)
                if library and (plan := self._plan(path, library)):
                    plans.append(plan)
        return tuple(plans)

    def mapped_now(self) -> ScanResult:
        """New plans for the libraries that any running process maps."""
        plans: list[LibraryPlan] = []
        seen: set[tuple[str, int, str]] = set()
        processes = set()
        for pid in process_ids(self._proc):
            for mapping in library_mappings(self._proc, pid, self._libraries, executable=True):
                processes.add(pid)
                file = (mapping.device, mapping.inode, mapping.path)
                # One process stands for all that map the file, unless it has ended meanwhile.
                if file not in seen and (path := self._path(mapping)):
                    seen.add(file)
                    if plan := self._plan(path, mapping.library):
                        plans.append(plan)
        return ScanResult(plans=tuple(plans), processes=frozenset(processes))

    def inspect_mapping(self, pid: int) -> tuple[LibraryPlan, ...]:
        """New plans for what one process maps: the answer to a kernel notice.

        The notice comes when the code segment is about to be mapped; the linker has mapped the
        file's head read-only before, so mappings of any kind count. The notice's inode
        is not asked for, because a stacked file system shows another one here.
        """
        plans = []
        for mapping in library_mappings(self._proc, pid, self._libraries, executable=False):
            path = self._path(mapping)
            if path and (plan := self._plan(path, mapping.library)):
                plans.append(plan)
        return tuple(plans)

    def forget(self, identity: FileIdentity) -> None:
        """Hand this file out again when it is met next, because it could not be attached to."""
        self._known.discard(identity)
        self._known.discard(identity._replace(device=_OVERLAY_DEVICE))

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

    def _plan(self, path: str, library: TlsLibrary) -> LibraryPlan | None:
        try:
            status = Path(path).stat()
            identity = _one_for_all_mounts(
                path, FileIdentity(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
            )
            if identity in self._known:
                return None
            plan = self._locator.locate(path, library)
        except (OSError, ElfError):
            return None
        self._known.add(identity)
        return plan


def process_ids(proc: str = "/proc") -> list[int]:
    """Ids of all processes, ascending."""
    with os.scandir(proc) as entries:
        return sorted(int(entry.name) for entry in entries if entry.name.isdecimal())


def _one_for_all_mounts(path: str, identity: FileIdentity) -> FileIdentity:
    """The identity without its device for a file of an overlay.

    Probes sit on the file below the overlay. Containers of one image share that file while stat
    gives each a device of its own: without this the file would be probed once a container.
    """
    if os.major(identity.device) == 0 and _file_system(path) == _OVERLAYFS_MAGIC:
        return identity._replace(device=_OVERLAY_DEVICE)
    return identity


def _file_system(path: str) -> int:
    """Magic number of a path's file system (statfs(2)); 0 when it cannot be asked."""
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None).statfs(os.fsencode(path), buffer):
        return 0
    return int.from_bytes(buffer.raw[:8], "little")
