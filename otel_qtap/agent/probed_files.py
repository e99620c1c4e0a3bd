# SPDX-License-Identifier: Apache-2.0
"""Library files with probes in them: attached once an inode, left when nobody uses them any more."""

import contextlib
import logging
import resource
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from otel_qtap.agent.file_numbers import FileNumbers
from otel_qtap.capture.attach import Probes, Site, detach_together
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_items, map_update
from otel_qtap.conditions import Condition
from otel_qtap.discovery.inodes import InodeMap, identify, is_same_inode
from otel_qtap.discovery.libraries import LibraryPlan
from otel_qtap.discovery.plan import FileIdentity
from otel_qtap.discovery.scan import KernelFile, LibraryScanner, ScanResult, shown_path
from otel_qtap.errors import CaptureError
from otel_qtap.probes.spec import with_file

logger = logging.getLogger(__name__)

_FILE_KEY = struct.Struct("<QIxxxx")
_NO_LIBRARY, _TLS_LIBRARY = (struct.pack("<IxxxxQ", kind, 0) for kind in (2, 3))
"""struct qtap_known_file."""

_REFUSED_EVENT = "otel_qtap.probes.refused"
_SPARE_DESCRIPTORS = 256
"""What is left to everything else. Anybody can map ever new files with the name of a TLS library."""


@dataclass(slots=True)
class _Probed:
    """A library file with probes in it."""

    plan: LibraryPlan
    number: int
    """In the cookies of its sites."""
    probes: Probes
    name: str
    """The path as its processes see it, and what it is."""
    unused_since: float | None = None
    """When it was first seen that nobody maps it any more (monotonic seconds)."""


class ProbedFiles:
    """Keeps probes in the files that are in use, and the kernel side informed of which these are.

    A file that nobody maps any more keeps its probes for ``grace_seconds``: a container that is started
    again finds them there.
    """

    def __init__(
        self, session: KernelSession, scanner: LibraryScanner, *, grace_seconds: float = 0.0
    ) -> None:
        self._session = session
        self._scanner = scanner
        self._grace_seconds = grace_seconds
        self._probed: InodeMap[_Probed] = InodeMap()
        self._room = Condition(logger, "otel_qtap.probes.room")
        self._numbers = FileNumbers(session)
        self._refused: dict[str, str] = {}
        self._failing_at_start: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._probed)

    @property
    def failing_since_start(self) -> Mapping[str, str]:
        """Library files that were there at start and still are not probed, with the reason."""
        return {path: why for path, why in self._refused.items() if path in self._failing_at_start}

    def start(self, found: Iterable[LibraryPlan], result: ScanResult) -> None:
        """Probe what was found on disk and what is mapped when the agent starts."""
        for plan in found:
            self._attach(plan)
        self.follow(result)
        self._failing_at_start = frozenset(self._refused)

    def follow(self, result: ScanResult) -> None:
        """Probe what processes map now, and let go of what none does."""
        in_use = {plan.path for plan in result.plans}
        self._refused = {path: why for path, why in self._refused.items() if path in in_use}
        for plan in result.plans:
            self._attach(plan)
        self._leave_unused(result)
        self._mark_only(result)

    def meet(self, result: ScanResult, file: KernelFile) -> bool | None:
        """Probe what one process maps, having been told that it maps ``file``.

        Returns whether that is a TLS library; None when it is not among what the process maps.
        """
        for plan in result.plans:
            self._attach(plan)
        for identity, _ in result.files:
            if probed := self._probed.get(identity):
                probed[1].unused_since = None
        inode, _ = file
        identity_here = result.identity(inode)
        if identity_here is None:
            return None
        # The kernel's own name of it, for stacked file systems show another device to us.
        self._mark(file, identity_here, result)
        return result.can_be_probed(identity_here)

    def _attach(self, plan: LibraryPlan) -> None:
        if changed := self._probed.get(plan.identity):
            # Written to in place: its functions are elsewhere now, and the probes at their old places harm.
            self._leave([changed[1]])
        name = f"{shown_path(plan.path)} ({plan.library} {plan.release})"
        for refusal in plan.refusals:
            logger.debug("%s: %s is not probed: %s", name, refusal.function, refusal.reason)
        if not plan.sites:
            logger.info("%s is not probed: %s", name, "; ".join(r.reason for r in plan.refusals))
            return
        if not self._has_room(4 * len(plan.sites)):
            self._scanner.forget(plan.identity)
            return
        number = self._numbers.take(plan.layout)
        sites = sites_of(plan, number)
        try:
            probes = Probes(self._session, plan.path, sites, plan.identity.state)
        except CaptureError as error:
            self._numbers.give_back(number)
            # Whoever mapped it may have ended meanwhile: whoever does so next shows the way again.
            if _is_still_there(plan):
                if plan.path not in self._refused:  # it is tried again at each look around
                    logger.warning("%s", error, extra={"event_name": _REFUSED_EVENT})
                self._refused[plan.path] = str(error)
            else:
                logger.debug("%s", error)
            self._scanner.forget(plan.identity)
            return
        if self._refused.pop(plan.path, None):
            logger.info("%s can be probed now", name, extra={"event_name": _REFUSED_EVENT})
        self._probed.set(plan.identity, _Probed(plan, number, probes, name))
        self._set_mark((plan.identity.inode, plan.identity.kernel_device), _TLS_LIBRARY)
        logger.info("probing %s, %d sites", name, len(sites))

    def _has_room(self, descriptors: int) -> bool:
        held = sum(probed.probes.descriptors for _, probed in self._probed)
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if held + descriptors + _SPARE_DESCRIPTORS > most:
            self._room.fail(
                "RLIMIT_NOFILE",
                "%d library files are probed and no more can be: raise RLIMIT_NOFILE",
                len(self._probed),
            )
        else:
            self._room.recover("there is room for more probes again")
        return self._room.well

    def _mark(self, file: KernelFile, identity: FileIdentity, result: ScanResult) -> None:
        """From now on whoever maps this file is reported as a process with TLS, or not at all.

        One that could be probed and is not, yet, has no mark: it is reported again.
        """
        if identity in self._probed:
            self._set_mark(file, _TLS_LIBRARY)
        elif not result.can_be_probed(identity):
            self._set_mark(file, _NO_LIBRARY)

    def _set_mark(self, file: KernelFile, kind: bytes) -> None:
        with contextlib.suppress(OSError):  # without the mark, the file is looked at again
            map_update(self._session.maps["known_files"], _FILE_KEY.pack(*file), kind)

    def _mark_only(self, result: ScanResult) -> None:
        """Mark what is mapped or probed, and nothing else: each container mounts the same files anew.

        A file without its mark is reported to be mapped: so no one comes to use it unnoticed before its
        probes are taken away.
        """
        wanted = dict(result.kernel_files)
        for identity, probed in self._probed:
            if probed.unused_since is None:
                wanted[identity.inode, identity.kernel_device] = identity
        known_files = self._session.maps["known_files"]
        for key in {key for key, _ in map_items(known_files)} - {_FILE_KEY.pack(*file) for file in wanted}:
            with contextlib.suppress(OSError):
                map_delete(known_files, key)
        for file, identity in wanted.items():
            self._mark(file, identity, result)

    def _leave_unused(self, result: ScanResult) -> None:
        """Detach from files that nobody maps and that are not where they were found any more.

        A probe keeps its file, and the file system that it is on, for as long as it lives.
        """
        now = time.monotonic()
        unused = []
        for identity, probed in self._probed:
            if identity in result.files or _is_still_there(probed.plan):
                probed.unused_since = None
                continue
            probed.unused_since = probed.unused_since or now
            if now - probed.unused_since >= self._grace_seconds:
                unused.append(probed)
        self._leave(unused)
        for probed in unused:
            self._scanner.forget(probed.plan.identity)

    def _leave(self, left: Sequence[_Probed]) -> None:
        detach_together(probed.probes for probed in left)
        for probed in left:
            self._numbers.give_back(probed.number)
            self._probed.remove(probed.plan.identity)
            logger.info("no longer probing %s", probed.name)

    def detach(self) -> None:
        """Close all probes; the last process that holds them detaches."""
        detach_together(probed.probes for _, probed in self._probed)
        self._probed = InodeMap()


def _is_still_there(plan: LibraryPlan) -> bool:
    identity = identify(plan.path)
    return identity is not None and is_same_inode(identity, plan.identity)


def sites_of(plan: LibraryPlan, number: int = 0) -> list[Site]:
    """Where a plan has probes attached; ``number`` is that of the file (``FileNumbers``)."""
    return [Site(site.file_offset, with_file(site.cookie, number), site.needs_return) for site in plan.sites]
