# SPDX-License-Identifier: Apache-2.0
"""Which library files are probed, and which processes are known: the supervisor's hands."""

import contextlib
import logging
import os
import resource
import struct
import time
from collections.abc import Callable, Iterable

from otel_qtap.agent.instrumented import InstrumentationJudge
from otel_qtap.agent.workloads import process_key
from otel_qtap.capture.attach import Probes, Site
from otel_qtap.capture.records import Kind, ProcessNotice
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_update
from otel_qtap.discovery.libraries import LibraryPlan
from otel_qtap.discovery.procfs import ProcessReader, matches
from otel_qtap.discovery.scan import LibraryScanner, ScanResult
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.errors import CaptureError
from otel_qtap.model.identity import ProcessFacts, ProcessId
from otel_qtap.settings import Settings

logger = logging.getLogger(__name__)

_FILE_KEY = struct.Struct("<QIxxxx")
_TLS_LIBRARY = struct.pack("<I", 2)

_SECOND_LOOK_SECONDS = 0.05
_SPARE_DESCRIPTORS = 256
"""What is left to everything else. Anybody can map ever new files with the name of a TLS library."""

FactsHandler = Callable[[ProcessFacts, bool], None]


def chosen_processes(settings: Settings) -> Selectors:
    """Which processes the user wants captured."""
    include, exclude = (
        ",".join(map(str, chosen)) for chosen in (settings.capture.include, settings.capture.exclude)
    )
    return Selectors.parse(include, exclude)


class Watcher:
    """Probes library files once each, and tells ``on_process`` about processes that use them."""

    def __init__(
        self,
        *,
        session: KernelSession,
        scanner: LibraryScanner,
        processes: ProcessReader,
        selectors: Selectors,
        on_process: FactsHandler,
        instrumented: InstrumentationJudge | None = None,
    ) -> None:
        self._session = session
        self._scanner = scanner
        self._reader = processes
        self._selectors = selectors
        self._on_process = on_process
        self._instrumented = instrumented
        self._probed: list[tuple[LibraryPlan, Probes]] = []
        self._marks: dict[int, set[bytes]] = {}
        self._known: dict[int, tuple[ProcessFacts, bool]] = {}
        self._look_again: list[tuple[float, ProcessNotice]] = []
        self._is_full = False

    @property
    def files(self) -> int:
        """Library files that are probed."""
        return len(self._probed)

    @property
    def processes(self) -> Iterable[tuple[ProcessFacts, bool]]:
        """Known processes, with whether the selectors allow them."""
        return self._known.values()

    @property
    def wants_attention(self) -> bool:
        """Whether ``look_again`` has work."""
        return bool(self._look_again)

    def start(self, found: Iterable[LibraryPlan]) -> None:
        """Probe what was found on disk and what is mapped now; learn the processes that map it."""
        for plan in found:
            self._attach(plan)
        self.rescan()

    def rescan(self) -> None:
        """Look at all processes: what was missed while nobody looked is found here."""
        result = self._scanner.mapped_now()
        self._leave_unused(result)
        for plan in result.plans:
            self._attach(plan)
        for pid in result.processes:
            known = self._known.get(pid)
            if known is None or not self._is_alive(known[0].process):
                self._learn(pid)
        for pid in [p for p, (facts, _) in self._known.items() if not self._is_alive(facts.process)]:
            del self._known[pid]

    def exclude(self, pid: int) -> None:
        """Never capture this process: the kernel side returns at once."""
        ticks = self._reader.start_ticks(pid)
        if ticks is None:
            return
        key, value = struct.pack("<I", pid), struct.pack("<Q", ticks)
        with contextlib.suppress(OSError):  # a full map costs only work: the pipeline excludes too
            map_update(self._session.maps["excluded_processes"], key, value)

    def notice(self, notice: ProcessNotice) -> None:
        """The kernel side saw something."""
        if notice.kind is Kind.PROCESS_EXITED:
            self._known.pop(notice.tgid, None)
            return
        if notice.kind is Kind.FILE_MAPPED and not self._inspect(notice):
            self._look_again.append((time.monotonic() + _SECOND_LOOK_SECONDS, notice))
            return
        self._meet(notice)

    def look_again(self) -> None:
        """Second look at processes whose mapping was not complete when the notice came."""
        now = time.monotonic()
        while self._look_again and self._look_again[0][0] <= now:
            _, notice = self._look_again.pop(0)
            if self._inspect(notice):
                self._meet(notice)

    def look_for_exporters(self) -> None:
        """Tell of the processes that turn out to send spans to a collector, now and then."""
        if self._instrumented is None:
            return
        undecided = [
            facts for facts, allowed in self._known.values() if allowed and not facts.instrumentation
        ]
        for facts in self._instrumented.exporting(undecided):
            self._known[facts.process.tgid] = (facts, True)
            self._on_process(facts, True)

    def _inspect(self, notice: ProcessNotice) -> bool:
        """Probe what this process maps and was not probed yet; whether the mapped file is a TLS library."""
        for plan in self._scanner.inspect_mapping(notice.tgid):
            self._attach(plan)
        if notice.inode not in self._scanner.library_inodes(notice.tgid):
            return False
        # The notice's own key, for stacked file systems show another device to us than to the kernel.
        self._mark_library(notice.inode, notice.device)
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
        allowed = self._selectors.allows(facts)
        if allowed and self._instrumented is not None:
            facts = self._instrumented.judge(facts)
        self._known[pid] = (facts, allowed)
        if not allowed:
            self.exclude(facts.process.tgid)
        self._on_process(facts, allowed)

    def _attach(self, plan: LibraryPlan) -> None:
        for refusal in plan.refusals:
            logger.debug("%s: %s is not probed: %s", plan.path, refusal.function, refusal.reason)
        if not plan.sites:
            logger.info("%s is not probed: %s", plan.path, "; ".join(r.reason for r in plan.refusals))
            return
        sites = [Site(site.file_offset, site.cookie, site.needs_return) for site in plan.sites]
        if not self._has_room(sites):
            self._scanner.forget(plan.identity)
            return
        try:
            self._probed.append((plan, Probes(self._session, plan.path, sites, plan.identity)))
        except CaptureError as error:
            logger.warning("%s", error)
            self._scanner.forget(plan.identity)
            return
        self._mark_library(plan.identity.inode, plan.identity.kernel_device)
        logger.info("probing %s (%s %s, %d sites)", plan.path, plan.library, plan.release, len(sites))

    def _has_room(self, sites: list[Site]) -> bool:
        held = sum(probes.descriptors for _, probes in self._probed)
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        was_full, self._is_full = self._is_full, held + 2 * len(sites) + _SPARE_DESCRIPTORS > most
        if self._is_full and not was_full:
            logger.warning("%d library files are probed and no more can be: raise RLIMIT_NOFILE", self.files)
        return not self._is_full

    def _mark_library(self, inode: int, device: int) -> None:
        """From now on whoever maps this file is reported as a process with TLS."""
        key = _FILE_KEY.pack(inode, device)
        self._marks.setdefault(inode, set()).add(key)
        with contextlib.suppress(OSError):  # without the mark its first connection reports it
            map_update(self._session.maps["known_files"], key, _TLS_LIBRARY)

    def _leave_unused(self, result: ScanResult) -> None:
        """Detach from files that nobody maps and that are not where they were found any more.

        A probe keeps its file, and the file system that it is on, for as long as it lives.
        """
        for probed in list(self._probed):
            plan, probes = probed
            if result.maps(plan.identity) or _is_still_there(plan):
                continue
            # First the marks: whoever maps the file from here on is noticed as the first to do so.
            for key in self._marks.pop(plan.identity.inode, ()):
                with contextlib.suppress(OSError):
                    map_delete(self._session.maps["known_files"], key)
            probes.detach()
            self._probed.remove(probed)
            self._scanner.forget(plan.identity)
            logger.info("no longer probing %s (%s %s)", plan.path, plan.library, plan.release)

    def detach(self) -> None:
        """Close all probes; the last process that holds them detaches."""
        while self._probed:
            self._probed.pop()[1].detach()


def _is_still_there(plan: LibraryPlan) -> bool:
    try:
        status = os.stat(plan.path)  # noqa: PTH116 - the path may be of any bytes
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (plan.identity.device, plan.identity.inode)
