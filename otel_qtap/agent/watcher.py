# SPDX-License-Identifier: Apache-2.0
"""Which library files are probed, and which processes are known: the supervisor's hands."""

import contextlib
import logging
import resource
import struct
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from otel_qtap.agent.containers import Containers
from otel_qtap.agent.instrumented import InstrumentationJudge
from otel_qtap.agent.workloads import process_key
from otel_qtap.capture.attach import Probes, Site, detach_together
from otel_qtap.capture.leftovers import remove_ended
from otel_qtap.capture.records import Kind, ProcessNotice
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_items, map_update
from otel_qtap.conditions import Condition
from otel_qtap.discovery.inodes import InodeMap, identify, is_same_inode
from otel_qtap.discovery.libraries import LibraryPlan
from otel_qtap.discovery.procfs import ProcessReader, matches
from otel_qtap.discovery.scan import KernelFile, LibraryScanner, ScanResult, shown_path
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.errors import CaptureError
from otel_qtap.model.identity import ProcessFacts, ProcessId
from otel_qtap.settings import Settings

logger = logging.getLogger(__name__)

_FILE_KEY = struct.Struct("<QIxxxx")
_NO_LIBRARY, _TLS_LIBRARY = (struct.pack("<IxxxxQ", kind, 0) for kind in (2, 3))
"""struct qtap_known_file."""

_REFUSED_EVENT = "otel_qtap.probes.refused"
_SECOND_LOOK_SECONDS = 0.05
_HOLD_SECONDS = 0.2
"""How long a process is kept back while its container is asked about: less than an exchange waits."""
_SPARE_DESCRIPTORS = 256
"""What is left to everything else. Anybody can map ever new files with the name of a TLS library."""

FactsHandler = Callable[[ProcessFacts, bool], None]


def chosen_processes(settings: Settings) -> Selectors:
    """Which processes the user wants captured."""
    include, exclude = (
        ",".join(map(str, chosen)) for chosen in (settings.capture.include, settings.capture.exclude)
    )
    return Selectors.parse(include, exclude)


@dataclass(slots=True)
class _Probed:
    """A library file with probes in it."""

    plan: LibraryPlan
    probes: Probes
    name: str
    """The path as its processes see it, and what it is."""
    unused_since: float | None = None
    """When it was first seen that nobody maps it any more (monotonic seconds)."""


class Watcher:
    """Probes library files once each, and tells ``on_process`` about processes that use them.

    A file that nobody maps any more keeps its probes for ``grace_seconds``: a container that is started
    again finds them there.
    """

    def __init__(
        self,
        *,
        session: KernelSession,
        scanner: LibraryScanner,
        processes: ProcessReader,
        selectors: Selectors,
        on_process: FactsHandler,
        instrumented: InstrumentationJudge | None = None,
        grace_seconds: float = 0.0,
        containers: Containers | None = None,
    ) -> None:
        self._session = session
        self._scanner = scanner
        self._reader = processes
        self._selectors = selectors
        self._on_process = on_process
        self._instrumented = instrumented
        self._grace_seconds = grace_seconds
        self._probed: InodeMap[_Probed] = InodeMap()
        self._containers = containers
        self._known: dict[int, tuple[ProcessFacts, bool]] = {}
        # Until when processes are not told of, because more may be known of them in a moment.
        self._held: dict[int, float] = {}
        self._look_again: list[tuple[float, ProcessNotice]] = []
        self._room = Condition(logger, "otel_qtap.probes.room")
        self._never: set[int] = set()
        self._refused: dict[str, str] = {}
        self._failing_at_start: frozenset[str] = frozenset()

    @property
    def files(self) -> int:
        """Library files that are probed."""
        return len(self._probed)

    @property
    def processes(self) -> Collection[tuple[ProcessFacts, bool]]:
        """Known processes, with whether the selectors allow them."""
        return self._known.values()

    @property
    def wants_attention(self) -> bool:
        """Whether ``look_again`` has work."""
        return bool(self._look_again or self._held)

    def start(self, found: Iterable[LibraryPlan]) -> None:
        """Probe what was found on disk and what is mapped now; learn the processes that map it."""
        for plan in found:
            self._attach(plan)
        self.rescan()
        self._failing_at_start = frozenset(self._refused)

    @property
    def failing_since_start(self) -> Mapping[str, str]:
        """Library files that were there at start and still are not probed, with the reason."""
        return {path: why for path, why in self._refused.items() if path in self._failing_at_start}

    def rescan(self) -> bool:
        """Look at all processes: what was missed is found, and what ended is let go.

        Returns whether ``failing_since_start`` changed.
        """
        failing = self.failing_since_start
        result = self._scanner.mapped_now()
        in_use = {plan.path for plan in result.plans}
        self._refused = {path: why for path, why in self._refused.items() if path in in_use}
        for plan in result.plans:
            self._attach(plan)
        self._leave_unused(result)
        self._mark_only(result)
        ended = [p for p, (facts, _) in self._known.items() if not self._is_alive(facts.process)]
        for pid in set(ended) - self._held.keys():
            del self._known[pid]
        for pid in result.processes - self._known.keys():
            self._learn(pid)
        remove_ended(self._session, lambda pid: self._reader.start_ticks(pid) is not None)
        return self.failing_since_start != failing

    def choose(self, selectors: Selectors) -> None:
        """Capture what these select from now on; processes for which that is news are told."""
        self._selectors = selectors
        for pid, (facts, was_allowed) in list(self._known.items()):
            allowed = selectors.allows(facts)
            if allowed == was_allowed:
                continue
            if not allowed:
                self.exclude(pid)
            else:
                self._include(pid)
            judge = self._instrumented if allowed else None
            now = judge.judge(facts) if judge is not None else facts
            self._known[pid] = (now, allowed)
            self._on_process(now, allowed)

    def judge_anew(self, judge: InstrumentationJudge | None) -> None:
        """Have another judge say which processes make spans of their own; the next pipeline is told."""
        self._instrumented = judge
        for pid, (facts, allowed) in list(self._known.items()):
            plain = replace(facts, instrumentation="")
            judged = judge.judge(plain) if judge is not None and allowed else plain
            self._known[pid] = (judged, allowed)

    def never(self, pid: int) -> None:
        """Never capture this process, whatever is selected: it is one of ours."""
        self._never.add(pid)
        self.exclude(pid)

    def exclude(self, pid: int) -> None:
        """Capture this process no more: the kernel side returns at once."""
        ticks = self._reader.start_ticks(pid)
        if ticks is None:
            return
        key, value = struct.pack("<I", pid), struct.pack("<Q", ticks)
        with contextlib.suppress(OSError):  # a full map costs only work: the pipeline excludes too
            map_update(self._session.maps["excluded_processes"], key, value)

    def _include(self, pid: int) -> None:
        if pid not in self._never:
            with contextlib.suppress(OSError):  # it was not in there
                map_delete(self._session.maps["excluded_processes"], struct.pack("<I", pid))

    def notice(self, notice: ProcessNotice) -> None:
        """The kernel side saw something."""
        if notice.kind is Kind.PROCESS_EXITED:
            if notice.tgid not in self._held:  # else it is told of yet: what it sent waits for that
                self._known.pop(notice.tgid, None)
        elif notice.kind is not Kind.FILE_MAPPED:
            self._meet(notice)
        elif not self._inspect(notice):
            self._look_again.append((time.monotonic() + _SECOND_LOOK_SECONDS, notice))

    def look_again(self) -> None:
        """Second look at processes whose mapping was not complete when the notice came, and an end to waiting
        for what others know of their containers."""
        now = time.monotonic()
        for pid in [pid for pid, until in self._held.items() if until <= now]:
            self._tell(pid)
        while self._look_again and self._look_again[0][0] <= now:
            self._inspect(self._look_again.pop(0)[1])

    def review_instrumentation(self) -> None:
        """Tell of the processes that turn out to make spans of their own, now and then."""
        if self._instrumented is None:
            return
        undecided = [
            facts for facts, allowed in self._known.values() if allowed and not facts.instrumentation
        ]
        for facts in self._instrumented.review(undecided):
            self._known[facts.process.tgid] = (facts, True)
            self._on_process(facts, True)

    def _inspect(self, notice: ProcessNotice) -> bool:
        """Probe what this process maps and was not probed yet; whether the mapped file was among it."""
        result = self._scanner.mapped_by(notice.tgid)
        for plan in result.plans:
            self._attach(plan)
        for identity, _ in result.files:
            if probed := self._probed.get(identity):
                probed[1].unused_since = None
        usable = result.can_be_probed(notice.inode)
        if usable is None:
            return False
        # The notice's own key, for stacked file systems show another device to us than to the kernel.
        self._mark((notice.inode, notice.device), usable=usable)
        if usable:
            self._meet(notice)
        return True

    def _meet(self, notice: ProcessNotice) -> None:
        known = self._known.get(notice.tgid)
        if known is None or process_key(*known[0].process) != process_key(notice.tgid, notice.start_time_ns):
            self._learn(notice.tgid, notice.start_time_ns)

    def _is_alive(self, process: ProcessId) -> bool:
        ticks = self._reader.start_ticks(process.tgid)
        return ticks is not None and matches(ticks, process.start_time_ns)

    def _learn(self, pid: int, start_time_ns: int | None = None) -> None:
        facts = self._reader.facts(pid, start_time_ns)
        if facts is None:
            return
        if pid in self._held:
            self._tell(pid)  # of whoever had this PID before
        if self._containers is not None:
            facts, more_may_come = self._containers.complete(facts)
            if more_may_come:
                self._held[pid] = time.monotonic() + _HOLD_SECONDS
        self._know(facts)
        if pid not in self._held:
            self._tell(pid)

    def _know(self, facts: ProcessFacts) -> None:
        allowed = self._selectors.allows(facts)
        if allowed and self._instrumented is not None:
            facts = self._instrumented.judge(facts)
        self._known[facts.process.tgid] = (facts, allowed)

    def complete(self, container_ids: Collection[str]) -> None:
        """More is known of these containers: so it is of the processes in them."""
        if self._containers is None:
            return
        for pid, (facts, allowed) in list(self._known.items()):
            if facts.container_id not in container_ids:
                continue
            completed, _ = self._containers.complete(facts)
            self._know(completed)
            if not allowed and self._known[pid][1]:
                self._include(pid)
            self._tell(pid)

    def _tell(self, pid: int) -> None:
        self._held.pop(pid, None)
        known = self._known.get(pid)
        if known is None:
            return
        facts, allowed = known
        if not allowed:
            self.exclude(facts.process.tgid)
        self._on_process(facts, allowed)

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
        sites = [Site(site.file_offset, site.cookie, site.needs_return) for site in plan.sites]
        if not self._has_room(sites):
            self._scanner.forget(plan.identity)
            return
        try:
            probes = Probes(self._session, plan.path, sites, plan.identity.state)
        except CaptureError as error:
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
        self._probed.set(plan.identity, _Probed(plan, probes, name))
        self._mark((plan.identity.inode, plan.identity.kernel_device), usable=True)
        logger.info("probing %s, %d sites", name, len(sites))

    def _has_room(self, sites: list[Site]) -> bool:
        held = sum(probed.probes.descriptors for _, probed in self._probed)
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if held + 2 * len(sites) + _SPARE_DESCRIPTORS > most:
            self._room.fail(
                "RLIMIT_NOFILE",
                "%d library files are probed and no more can be: raise RLIMIT_NOFILE",
                self.files,
            )
        else:
            self._room.recover("there is room for more probes again")
        return self._room.well

    def _mark(self, file: KernelFile, *, usable: bool) -> None:
        """From now on whoever maps this file is reported as a process with TLS, or not at all."""
        with contextlib.suppress(OSError):  # without the mark, the file is looked at again
            map_update(
                self._session.maps["known_files"],
                _FILE_KEY.pack(*file),
                _TLS_LIBRARY if usable else _NO_LIBRARY,
            )

    def _mark_only(self, result: ScanResult) -> None:
        """Mark what is mapped or probed, and nothing else: each container mounts the same files anew.

        A file without its mark is reported to be mapped: so no one comes to use it unnoticed before its
        probes are taken away.
        """
        wanted = dict(result.kernel_files)
        for identity, probed in self._probed:
            if probed.unused_since is None:
                wanted[identity.inode, identity.kernel_device] = True
        known_files = self._session.maps["known_files"]
        for key in {key for key, _ in map_items(known_files)} - {_FILE_KEY.pack(*file) for file in wanted}:
            with contextlib.suppress(OSError):
                map_delete(known_files, key)
        for file, usable in wanted.items():
            self._mark(file, usable=usable)

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
            self._probed.remove(probed.plan.identity)
            logger.info("no longer probing %s", probed.name)

    def detach(self) -> None:
        """Close all probes; the last process that holds them detaches."""
        detach_together(probed.probes for _, probed in self._probed)
        self._probed = InodeMap()


def _is_still_there(plan: LibraryPlan) -> bool:
    identity = identify(plan.path)
    return identity is not None and is_same_inode(identity, plan.identity)
