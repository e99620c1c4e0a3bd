# SPDX-License-Identifier: Apache-2.0
"""Which processes use TLS libraries: met as the kernel tells of them, and looked for now and then."""

import contextlib
import logging
import struct
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from otel_qtap.agent.ciphertext import CiphertextWatch
from otel_qtap.agent.containers import Containers
from otel_qtap.agent.glimpses import Glimpses
from otel_qtap.agent.instrumented import InstrumentationJudge
from otel_qtap.agent.mapped_files import MappedFiles
from otel_qtap.agent.plaintext.page import PlaintextPage
from otel_qtap.agent.probed_files import ProbedFiles
from otel_qtap.agent.workloads import ProcessKey, process_key
from otel_qtap.capture.holdings import settle
from otel_qtap.capture.leftovers import remove_ended
from otel_qtap.capture.records import Kind, ProcessNotice
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_update
from otel_qtap.discovery.ciphertext_files import CiphertextFiles, CiphertextSearch
from otel_qtap.discovery.plan import FilePlan, FileVerdict
from otel_qtap.discovery.procfs import ProcessReader, matches
from otel_qtap.discovery.scan import LibraryScanner, ScanResult
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.model.identity import ProcessFacts, ProcessId
from otel_qtap.probes import openssl
from otel_qtap.settings import Settings

logger = logging.getLogger(__name__)

_HOLD_SECONDS = 0.2
"""How long a process is kept back while its container is asked about: less than an exchange waits."""
_SETTLED_SECONDS = 0.5
"""How long it is good for that all processes' shares were set right: each is told of once a second."""

FactsHandler = Callable[[ProcessFacts, bool], None]


def chosen_processes(settings: Settings) -> Selectors:
    """Which processes the user wants captured."""
    include, exclude = (
        ",".join(map(str, chosen)) for chosen in (settings.capture.include, settings.capture.exclude)
    )
    return Selectors.parse(include, exclude)


class Watcher:
    """Tells ``on_process`` about processes that use TLS libraries, and has these probed.

    A file that nobody maps any more keeps its probes for ``grace_seconds``.
    """

    def __init__(
        self,
        *,
        session: KernelSession,
        scanner: LibraryScanner,
        processes: ProcessReader,
        selectors: Selectors,
        on_process: FactsHandler,
        ciphertext: CiphertextFiles,
        instrumented: InstrumentationJudge | None = None,
        grace_seconds: float = 0.0,
        containers: Containers | None = None,
        plaintext: PlaintextPage | None = None,
    ) -> None:
        self._session = session
        self._reader = processes
        self._selectors = selectors
        self._on_process = on_process
        self._instrumented = instrumented
        self._files = ProbedFiles(session, scanner, grace_seconds=grace_seconds, plaintext=plaintext)
        self._containers = containers
        self._ciphertext = CiphertextWatch(session, self._search_bio_writes)
        self._ciphertext_files = ciphertext
        self._known: dict[int, tuple[ProcessFacts, bool]] = {}
        # Until when processes are not told of, because more may be known of them in a moment.
        self._held: dict[int, float] = {}
        # Those of them that have ended, or run another program by now: forgotten when they were told of.
        self._gone: set[int] = set()
        # Whom the kernel side passes over for what the selectors say.
        self._excluded: set[ProcessKey] = set()
        self._glimpses = Glimpses(processes)
        self._mapped = MappedFiles(self._files, self._meet)
        self._never: set[int] = set()
        self._settled_at = 0.0

    @property
    def files(self) -> int:
        """Library files that are probed."""
        return len(self._files)

    @property
    def processes(self) -> Collection[tuple[ProcessFacts, bool]]:
        """Known processes, with whether the selectors allow them."""
        return self._known.values()

    @property
    def wants_attention(self) -> bool:
        """Whether ``look_again`` has work."""
        return self._mapped.wants_attention or bool(self._held)

    @property
    def is_busy(self) -> bool:
        """Whether ``advance`` has work, now or in a moment."""
        return self._files.is_busy or self._ciphertext.is_busy

    def advance(self) -> None:
        """Probe what has turned out to hold a library, without waiting for anything."""
        self._files.advance()
        self._ciphertext.advance()

    @property
    def failing_since_start(self) -> Mapping[str, str]:
        """Library files that were there at start and still are not probed, with the reason."""
        return self._files.failing_since_start

    def start(self, found: Iterable[FilePlan]) -> None:
        """Probe what was found on disk and what is mapped now; learn the processes that map it."""
        self._follow(self._files.start(found))

    def rescan(self) -> bool:
        """Look at all processes: what was missed is found, and what ended is let go.

        Returns whether ``failing_since_start`` changed.
        """
        failing = self.failing_since_start
        self._follow(self._files.follow())
        return self.failing_since_start != failing

    def _follow(self, result: ScanResult) -> None:
        ended = [p for p, (facts, _) in self._known.items() if not self._is_alive(facts.process)]
        for pid in set(ended) - self._held.keys():
            del self._known[pid]
        self._excluded = {key for key in self._excluded if self._reader.start_ticks(key[0]) == key[1]}
        for pid in result.processes - self._known.keys():
            self._learn(pid, self._reader.facts(pid))
        remove_ended(self._session, lambda pid: self._reader.start_ticks(pid) is not None)
        self._settle()

    def choose(self, selectors: Selectors) -> None:
        """Capture what these select from now on; processes for which that is news are told."""
        self._selectors = selectors
        for pid, (facts, was_allowed) in list(self._known.items()):
            allowed = selectors.allows(facts)
            if allowed == was_allowed:
                continue
            self._enforce(facts.process, allowed)
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

    def leave_ciphertext(self) -> bool:
        """Give up files out of which no plaintext comes; returns whether there were any."""
        return self._files.leave_ciphertext()

    @property
    def news_of_writes(self) -> int | None:
        """A descriptor that is readable when ``leave_written`` has work; None: nothing tells of writes."""
        return self._files.news_of_writes

    def leave_written(self) -> bool:
        """Detach from probed files that are written to in place; returns whether there were any."""
        return self._files.leave_written()

    def is_ours(self, pid: int) -> bool:
        """Whether this process is one of ours."""
        return pid in self._never

    def is_running(self, pid: int, start_time_ns: int) -> bool:
        """Whether this process has not ended."""
        return self._is_alive(ProcessId(pid, start_time_ns))

    def selected(self, pid: int) -> bool | None:
        """Whether the user's selectors allow a process; None: they do not name it, and name others."""
        known = self._known.get(pid)
        if known is None:
            return True
        return True if known[1] else self._selectors.named(known[0])

    def verdicts(self, pid: int) -> tuple[FileVerdict, ...] | None:
        """On the files that a process maps and that have or may have to do with TLS; None: it cannot be
        looked at."""
        return self._files.verdicts(pid) if self._reader.may_read_maps(pid) else None

    def exclude(self, pid: int) -> None:
        """Capture this process no more: the kernel side returns at once."""
        ticks = self._reader.start_ticks(pid)
        if ticks is None:
            return
        key, value = struct.pack("<I", pid), struct.pack("<Q", ticks)
        with contextlib.suppress(OSError):  # a full map costs only work: the pipeline excludes too
            map_update(self._session.maps["excluded_processes"], key, value)

    def _enforce(self, process: ProcessId, allowed: bool) -> None:
        """Have the kernel side do what the selectors say of the program that this process runs now."""
        pid, key = process.tgid, process_key(*process)
        if not allowed:
            if self._is_alive(process):
                self._excluded.add(key)
                self.exclude(pid)
        elif key in self._excluded:
            self._excluded.remove(key)
            if pid not in self._never:
                with contextlib.suppress(OSError):  # the kernel side took it back
                    map_delete(self._session.maps["excluded_processes"], struct.pack("<I", pid))
                    self._files.included_more()

    def notice(self, notice: ProcessNotice) -> None:
        """The kernel side saw something."""
        if notice.kind is Kind.PROCESS_EXITED:
            if notice.tgid in self._held:  # it is told of yet: what it sent waits for that
                self._gone.add(notice.tgid)
            else:
                self._known.pop(notice.tgid, None)
        elif notice.kind is Kind.PROCESS_UNBOUND:
            self._ciphertext.notice(notice)
        elif notice.kind is Kind.PROCESS_CROWDED:
            if time.monotonic() - self._settled_at > _SETTLED_SECONDS:
                self._settle()
        elif notice.kind is Kind.FILE_MAPPED:
            self._glimpses.take(notice)
            self._mapped.notice(notice)
        else:
            self._meet(notice)

    def _settle(self) -> None:
        settle(self._session, time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        self._settled_at = time.monotonic()

    def look_again(self) -> None:
        """Second look at processes whose mapping was not complete when the notice came, and an end to waiting
        for what others know of their containers."""
        self._ciphertext.review()
        now = time.monotonic()
        for pid in [pid for pid, until in self._held.items() if until <= now]:
            self._tell(pid)
        self._mapped.look_again()

    def review_instrumentation(self) -> None:
        """Tell of the processes that turn out to make spans of their own, now and then."""
        if self._instrumented is None or not self._instrumented.is_due:
            return
        undecided = [
            facts for facts, allowed in self._known.values() if allowed and not facts.instrumentation
        ]
        for facts in self._instrumented.review(undecided):
            self._known[facts.process.tgid] = (facts, True)
            self._on_process(facts, True)

    def _meet(self, notice: ProcessNotice) -> None:
        known = self._known.get(notice.tgid)
        if (
            known is None
            or notice.tgid in self._gone
            or process_key(*known[0].process) != process_key(notice.tgid, notice.start_time_ns)
            or (notice.kind is Kind.PROCESS_SEEN and self._runs_another_program(known[0]))
        ):
            self._learn(notice.tgid, self._glimpses.facts(notice))

    def _runs_another_program(self, known: ProcessFacts) -> bool:
        """Whether a process has gone on as another program than the one that is known.

        Of that the kernel side tells where it has seen the former with TLS: not where we found it by looking.
        """
        now = self._reader.facts(*known.process)
        return now is not None and now.executable != known.executable

    def _is_alive(self, process: ProcessId) -> bool:
        ticks = self._reader.start_ticks(process.tgid)
        return ticks is not None and matches(ticks, process.start_time_ns)

    def _learn(self, pid: int, facts: ProcessFacts | None) -> None:
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
        for pid, (facts, _) in list(self._known.items()):
            if facts.container_id not in container_ids:
                continue
            completed, _ = self._containers.complete(facts)
            self._know(completed)
            self._tell(pid)

    def _tell(self, pid: int) -> None:
        self._held.pop(pid, None)
        known = self._known.get(pid)
        if known is None:
            return
        facts, allowed = known
        if pid in self._gone:
            self._gone.remove(pid)
            del self._known[pid]
        else:
            self._enforce(facts.process, allowed)
        self._on_process(facts, allowed)

    def _search_bio_writes(self, pid: int) -> CiphertextSearch:
        """Where this process's copies of OpenSSL hand their ciphertext on."""
        named = [file.path for file in self._files.verdicts(pid) if openssl.LIBRARY.name in file.libraries]
        return self._ciphertext_files.search(pid, named)

    def detach(self) -> None:
        """Close all probes; the last process that holds them detaches."""
        self._ciphertext.detach()
        self._files.detach()
