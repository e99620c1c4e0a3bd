# SPDX-License-Identifier: Apache-2.0
"""Files with probes in them: attached once an inode, left when nobody uses them any more."""

import logging
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from otel_qtap.agent.file_marks import Content, FileMarks
from otel_qtap.agent.file_numbers import FileNumbers
from otel_qtap.agent.plaintext.page import PlaintextPage
from otel_qtap.agent.write_watch import WriteWatch
from otel_qtap.capture.attach import Probes, Site, detach_together
from otel_qtap.capture.session import KernelSession
from otel_qtap.conditions import Condition
from otel_qtap.discovery.inodes import InodeMap, identify, is_same_inode, is_unchanged
from otel_qtap.discovery.libraries import LibraryPlan
from otel_qtap.discovery.plan import Cause, FileIdentity, FilePlan, FileVerdict, LeftOut
from otel_qtap.discovery.scan import KernelFile, LibraryScanner, ScanResult, shown_path
from otel_qtap.errors import CaptureError
from otel_qtap.probes.spec import with_file

logger = logging.getLogger(__name__)

_REFUSED_EVENT = "otel_qtap.probes.refused"
_NO_ROOM = "no file descriptors are left: raise RLIMIT_NOFILE"
_NO_PLAINTEXT = (
    "its functions were located by their code, and what came out of them in many conversations was random: "
    "it is probed no more until the agent starts again"
)
_SPARE_DESCRIPTORS = 256
"""What is left to everything else. Anybody can map ever new files with the name of a TLS library."""


class Met(Enum):
    """What a file that a process maps turned out to be."""

    LIBRARY = "library"
    """There is a TLS library in it, which can be probed."""
    OTHER = "other"
    AWAITED = "awaited"
    """It is looked at just now."""
    ABSENT = "absent"
    """The process does not map it, yet or any more."""


@dataclass(slots=True)
class Look:
    """What came of a look at one process."""

    met: dict[KernelFile, Met]
    """Of the files that were asked about."""
    work: int = 0
    """How much there was to be looked at, in files."""


@dataclass(slots=True)
class _Probed:
    """A file with probes in it."""

    plan: FilePlan
    numbers: tuple[int, ...]
    """One for each of its libraries, in the cookies of their sites."""
    probes: Probes
    name: str
    """The path as its processes see it, and what is in it."""
    watch: int | None
    """By which writes to it are told of (``WriteWatch``)."""
    unused_since: float | None = None
    """When it was first seen that nobody maps it any more (monotonic seconds)."""


class ProbedFiles:
    """Keeps probes in the files that are in use, and the kernel side informed of which these are.

    A file that nobody maps any more keeps its probes for ``grace_seconds``: a container that is started
    again finds them there.
    """

    def __init__(
        self,
        session: KernelSession,
        scanner: LibraryScanner,
        *,
        grace_seconds: float = 0.0,
        plaintext: PlaintextPage | None = None,
    ) -> None:
        self._session = session
        self._scanner = scanner
        self._grace_seconds = grace_seconds
        self._probed: InodeMap[_Probed] = InodeMap()
        self._room = Condition(logger, "otel_qtap.probes.room")
        self._numbers = FileNumbers(session)
        self._refused: InodeMap[tuple[str, str]] = InodeMap()
        """Files that could be probed but for the kernel, which refused it: path and reason."""
        self._without_room: InodeMap[tuple[str, str]] = InodeMap()
        """Those for which there are no descriptors left."""
        self._plaintext = plaintext or PlaintextPage()
        self._no_plaintext: InodeMap[tuple[str, str]] = InodeMap()
        """Those out of which ciphertext came."""
        self._failing_at_start: tuple[FileIdentity, ...] = ()
        self._marks = FileMarks(session)
        self._writes = WriteWatch()

    def __len__(self) -> int:
        return len(self._probed)

    @property
    def failing_since_start(self) -> Mapping[str, str]:
        """Files that were there at start and still are not probed, with the reason."""
        failing = (self._refused.get(identity) for identity in self._failing_at_start)
        return dict(entry[1] for entry in failing if entry)

    def verdicts(self, pid: int) -> tuple[FileVerdict, ...]:
        """What is known of the files that a process maps as code, and have or may have to do with TLS."""
        found = []
        for verdict in self._scanner.verdicts(pid):
            for left_out, cause in (
                (self._refused, Cause.KERNEL),
                (self._without_room, Cause.KERNEL),
                (self._no_plaintext, Cause.PLAINTEXT),
            ):
                if entry := left_out.get(verdict.identity):
                    _, (_, why) = entry
                    libraries = tuple(LeftOut(library, why, cause) for library in verdict.libraries)
                    found.append(replace(verdict, libraries=(), left_out=libraries))
                    break
            else:
                found.append(verdict)
        return tuple(found)

    def leave_ciphertext(self) -> bool:
        """Detach from the files out of which no plaintext came, for good; returns whether there were any.

        Only those are given up that were located by their code: what a name says is certain.
        """
        numbers = set(self._plaintext.refused())
        wrong = [probed for _, probed in self._probed if numbers.intersection(probed.numbers)]
        self._leave(wrong)
        for probed in wrong:
            self._no_plaintext.set(probed.plan.identity, (probed.plan.path, _NO_PLAINTEXT))
            logger.warning("%s: %s", probed.name, _NO_PLAINTEXT, extra={"event_name": _REFUSED_EVENT})
        return bool(wrong)

    def start(self, found: Iterable[FilePlan]) -> ScanResult:
        """Probe what was found on disk and what is mapped when the agent starts."""
        for plan in found:
            self._attach(plan)
        result = self.follow(wait=True)
        self._failing_at_start = tuple(identity for identity, _ in self._refused)
        return result

    @property
    def news_of_writes(self) -> int | None:
        """A descriptor that is readable when ``leave_written`` has work; None: nothing tells of writes."""
        return self._writes.descriptor

    def leave_written(self) -> bool:
        """Detach from the files that the kernel says are written to; returns whether there were any."""
        heard = self._writes.written()
        if not heard.watches and not heard.is_incomplete:
            return False
        written = [
            probed
            for _, probed in self._probed
            if probed.watch in heard.watches or (heard.is_incomplete and _is_written(probed.plan))
        ]
        self._leave_written(written)
        return bool(written)

    @property
    def is_busy(self) -> bool:
        """Whether there are files to look at, or looked at just now."""
        return self._scanner.is_busy

    def advance(self) -> None:
        """Probe what has turned out to hold a library, without waiting for anything."""
        self._scanner.advance(self._attach)

    def follow(self, *, wait: bool = False) -> ScanResult:
        """Probe what processes map now, and let go of what none does. What is new is probed before this
        returns if it shall ``wait``, else in ``advance``."""
        result = self._scanner.mapped_now(self._attach, wait=wait)
        for left_out in (self._refused, self._without_room, self._no_plaintext):
            left_out.keep(lambda identity, _: identity in result.files)
        self._leave_seen_written(result)
        self._leave_unused(result)
        self._mark_only(result)
        return result

    def marked(self, file: KernelFile, told_ns: int) -> Met | None:
        """What a file is, if the notice of it, told at ``told_ns`` (boot time), is older than our saying so.

        Programs map many files at once.
        """
        mark = self._marks.given_since(file, told_ns)
        if mark is None:
            return None
        return Met.LIBRARY if mark.content is Content.LIBRARY else Met.OTHER

    def meet(self, pid: int, file: KernelFile, told_ns: int = 0) -> Met:
        """Probe what one process maps, having been told at ``told_ns`` (boot time) that it maps ``file``."""
        return self.meet_all(pid, {file: told_ns}).met[file]

    def meet_all(self, pid: int, told: Mapping[KernelFile, int]) -> Look:
        """The same of several files, with what they turned out to be."""
        known = {file: self.marked(file, told_ns) for file, told_ns in told.items()}
        look = Look({file: met for file, met in known.items() if met is not None})
        unknown = told.keys() - look.met.keys()
        if not unknown:
            return look
        for file in unknown:
            self._marks.is_reported(file)
        result = self._scanner.mapped_by(pid, {inode for inode, _ in unknown}, self._attach)
        self._leave_seen_written(result)
        for identity, _ in result.files:
            if probed := self._probed.get(identity):
                probed[1].unused_since = None
        for name, identity in result.kernel_files.items():
            self._mark(name, identity, result)
        for file in unknown:
            look.met[file] = self._met(file, result)
        look.work = result.work
        return look

    def _met(self, file: KernelFile, result: ScanResult) -> Met:
        inode, _ = file
        identity = result.identity(inode)
        if identity is None:
            return Met.AWAITED if inode in result.awaited else Met.ABSENT
        # The kernel's own name of it, for stacked file systems show another device to us.
        self._mark(file, identity, result)
        return Met.LIBRARY if result.can_be_probed(identity) else Met.OTHER

    def _attach(self, plan: FilePlan) -> None:
        if changed := self._probed.get(plan.identity):
            self._leave([changed[1]])
            self._marks.take_back(plan.identity)
        shown = shown_path(plan.path)
        for library in plan.libraries:
            for refusal in library.refusals:
                logger.debug("%s: %s is not probed: %s", shown, refusal.function, refusal.reason)
        for refused in plan.verdict.refusals:
            logger.info("%s (%s) is not probed: %s", shown, refused.function, refused.reason)
        if not plan.usable:
            # Those who mapped it may be gone by now: so the next ones are not told of for nothing.
            self._marks.give((plan.identity.inode, plan.identity.kernel_device), Content.OTHER, plan.identity)
            return
        if self._is_given_up(plan):
            return
        name = f"{shown} ({', '.join(f'{one.library} {one.release}'.strip() for one in plan.usable)})"
        count = sum(len(library.sites) for library in plan.usable)
        if not self._has_room(2 if self._session.attach == "multi" else 4 * count):
            self._scanner.try_again(plan.identity)
            self._without_room.set(plan.identity, (plan.path, _NO_ROOM))
            return
        self._without_room.remove(plan.identity)
        numbers = tuple(self._numbers.take(library.layout) for library in plan.usable)
        sites = [
            site
            for library, number in zip(plan.usable, numbers, strict=True)
            for site in sites_of(library, number)
        ]
        for library, number in zip(plan.usable, numbers, strict=True):
            if library.by_code:
                self._plaintext.ask(number)
        # Before the state is looked at for the last time: so no write goes unseen.
        watch = self._writes.add(plan.path, plan.identity)
        try:
            probes = Probes(self._session, plan.path, sites, plan.identity.state)
        except CaptureError as error:
            self._unwatch(watch)
            for number in numbers:
                self._give_back(number)
            # Whoever mapped it may have ended meanwhile, or somebody writes to it: whoever maps it next shows
            # the way again.
            if _is_as_planned(plan):
                if plan.identity not in self._refused:  # it is tried again at each look around
                    logger.warning("%s", error, extra={"event_name": _REFUSED_EVENT})
                self._refused.set(plan.identity, (plan.path, str(error)))
            else:
                logger.debug("%s", error)
            self._scanner.try_again(plan.identity)
            return
        for number in numbers:
            self._numbers.attached(number)
        if plan.identity in self._refused:
            self._refused.remove(plan.identity)
            logger.info("%s can be probed now", name, extra={"event_name": _REFUSED_EVENT})
        self._probed.set(plan.identity, _Probed(plan, numbers, probes, name, watch))
        self._marks.give((plan.identity.inode, plan.identity.kernel_device), Content.LIBRARY, plan.identity)
        logger.info("probing %s, %d sites", name, len(sites))

    def _is_given_up(self, plan: FilePlan) -> bool:
        known = self._no_plaintext.get(plan.identity)
        return known is not None and known[0].state == plan.identity.state

    def _has_room(self, descriptors: int) -> bool:
        held = sum(probed.probes.descriptors for _, probed in self._probed)
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if held + descriptors + _SPARE_DESCRIPTORS > most:
            self._room.fail(
                "RLIMIT_NOFILE",
                "%d files are probed and no more can be: raise RLIMIT_NOFILE",
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
            self._marks.give(file, Content.LIBRARY, identity)
        elif not result.can_be_probed(identity):
            self._marks.give(file, Content.OTHER, identity)

    def _mark_only(self, result: ScanResult) -> None:
        """Mark what is mapped or probed, and nothing else: each container mounts the same files anew.

        A file without its mark is reported to be mapped: so no one comes to use it unnoticed before its
        probes are taken away.
        """
        wanted = dict(result.kernel_files)
        for identity, probed in self._probed:
            if probed.unused_since is None:
                wanted[identity.inode, identity.kernel_device] = identity
        self._marks.keep_only(wanted)
        for file, identity in wanted.items():
            self._mark(file, identity, result)

    def _leave_seen_written(self, result: ScanResult) -> None:
        """Detach from files of which a look told that they were written to in place."""
        found = ((seen, self._probed.get(seen)) for seen in result.written)
        self._leave_written([entry[1] for seen, entry in found if entry and not is_unchanged(entry[0], seen)])

    def _leave_unused(self, result: ScanResult) -> None:
        """Detach from files that nobody maps and that are not where they were found any more.

        A probe keeps its file, and the file system that it is on, for as long as it lives.
        """
        now = time.monotonic()
        unused, written = [], []
        for identity, probed in self._probed:
            there = None if identity in result.files else _still_there(probed.plan)
            if identity in result.files or (there and is_unchanged(there, probed.plan.identity)):
                probed.unused_since = None
                continue
            if there:
                written.append(probed)
                continue
            probed.unused_since = probed.unused_since or now
            if now - probed.unused_since >= self._grace_seconds:
                unused.append(probed)
        self._leave(unused)
        for probed in unused:
            self._scanner.forget(probed.plan.identity)
        self._leave_written(written)

    def _leave_written(self, written: Sequence[_Probed]) -> None:
        """Detach from files that were written to in place: nothing is known of them any more.

        Their functions are elsewhere now, and the kernel breaks whatever is at the old places in the memory
        of everybody who maps them.
        """
        self._leave(written)
        for probed in written:
            logger.info("%s was written to in place", probed.name)
            self._marks.take_back(probed.plan.identity)
            self._scanner.forget(probed.plan.identity)

    def _leave(self, left: Sequence[_Probed]) -> None:
        detach_together(probed.probes for probed in left)
        for probed in left:
            self._unwatch(probed.watch)
            for number in probed.numbers:
                self._give_back(number)
            self._probed.remove(probed.plan.identity)
            logger.info("no longer probing %s", probed.name)

    def _unwatch(self, watch: int | None) -> None:
        if watch is not None:
            self._writes.remove(watch)

    def _give_back(self, number: int) -> None:
        self._plaintext.give_up(number)
        self._numbers.give_back(number)

    def included_more(self) -> None:
        """Processes are captured that were excluded before."""
        self._numbers.included_more()

    def detach(self) -> None:
        """Close all probes; the last process that holds them detaches."""
        self._scanner.stop()
        detach_together(probed.probes for _, probed in self._probed)
        self._probed = InodeMap()
        self._writes.close()


def _still_there(plan: FilePlan) -> FileIdentity | None:
    """The file in the state that it has, if it is where it was found."""
    found = identify(plan.path)
    return found if found is not None and is_same_inode(found, plan.identity) else None


def _is_as_planned(plan: FilePlan) -> bool:
    """Whether the file is where it was found, and in the state that it was in."""
    there = _still_there(plan)
    return there is not None and is_unchanged(there, plan.identity)


def _is_written(plan: FilePlan) -> bool:
    """Whether the file is where it was found, in another state."""
    there = _still_there(plan)
    return there is not None and not is_unchanged(there, plan.identity)


def sites_of(plan: LibraryPlan, number: int = 0) -> list[Site]:
    """Where a plan has probes attached; ``number`` is that of the file (``FileNumbers``)."""
    return [Site(site.file_offset, with_file(site.cookie, number), site.needs_return) for site in plan.sites]
