# SPDX-License-Identifier: Apache-2.0
"""The privileged process: loads, attaches, reads /proc, keeps the pipeline alive, reloads, stops in order."""

import contextlib
import logging
import os
import resource
import selectors
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from otel_qtap.agent.account import own_account, pipeline_account
from otel_qtap.agent.capabilities import (
    Stage,
    effective_capabilities,
    missing,
    used_by_loader,
    used_by_supervisor,
)
from otel_qtap.agent.containers import Containers, new_containers
from otel_qtap.agent.coverage.speakers import Judged, Speakers
from otel_qtap.agent.directories import plans_directory, prepare_directories
from otel_qtap.agent.file_watch import FileWatch
from otel_qtap.agent.host import host_identity
from otel_qtap.agent.instrumented import instrumentation_judge
from otel_qtap.agent.introduction import introduction
from otel_qtap.agent.kernel import attach_mode, kernel_release
from otel_qtap.agent.log_output import set_up_logging
from otel_qtap.agent.messages import (
    coverage_message,
    log_message,
    probes_message,
    process_message,
    selectors_message,
)
from otel_qtap.agent.pipeline_process import PipelineProcess
from otel_qtap.agent.prerequisites import needs_here, require
from otel_qtap.agent.privileges import limit_to, renounce
from otel_qtap.agent.reload import Change, compare
from otel_qtap.agent.rounds import Rounds
from otel_qtap.agent.service_manager import ServiceManager
from otel_qtap.agent.stray_output import StrayOutput
from otel_qtap.agent.vital_signs import VitalSigns
from otel_qtap.agent.watcher import Watcher, chosen_processes
from otel_qtap.capture.attach import Tracepoints, tracing_directory
from otel_qtap.capture.bytecode_cache import BytecodeCache
from otel_qtap.capture.records import Kind, ProcessNotice, process_notice
from otel_qtap.capture.ring import RingBuffer
from otel_qtap.capture.session import KernelSession, Loading
from otel_qtap.discovery.btf import kernel_offsets
from otel_qtap.discovery.ciphertext_files import CiphertextFiles
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.plan import FilePlan
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.discovery.scan import LibraryScanner
from otel_qtap.errors import SettingsError
from otel_qtap.listening import listen
from otel_qtap.model.identity import ProcessFacts
from otel_qtap.settings import Settings
from otel_qtap.settings.model import DEFAULT_FILE

logger = logging.getLogger(__name__)

_NOTICE_BYTES = 2048
"""Most of the process ring between two looks at signals: some thirty notices, each of which may cost a
look at the memory map of a process that wants to keep us busy."""
_START_SECONDS = 20.0
"""For looking at the files that are there at the start: longer nobody waits, for somebody may want that."""

Reread = Callable[[], Settings]
"""Reads environment and file anew; raises SettingsError."""


def run_agent(settings: Settings, record_to: Path | None, reread: Reread) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    With ``record_to`` raw kernel records go to that file and nowhere else. Raises QtapError.
    """
    manager = ServiceManager()
    for line in introduction(settings, os.environ, record_to):
        logger.info("%s", line)
    held, wanted = effective_capabilities(), needs_here(settings, recording=record_to is not None)
    require(missing(wanted, held))
    limit_to(used_by_supervisor(Stage.STARTING, wanted, held))
    # A recorder has no health to tell, and may run beside an agent that has.
    listener = None if record_to else listen("OTEL_QTAP_HEALTH_ADDRESS", *settings.health.address)
    prepare_directories(settings)
    tracing_directory()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each probed file takes a few descriptors
    stray = StrayOutput(show=True)
    try:
        return Supervisor(settings, listener, record_to, reread=reread, manager=manager, stray=stray).run()
    finally:
        stray.close()


class Supervisor:
    """Owns the kernel side and the pipeline process."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket | None,
        record_to: Path | None,
        *,
        reread: Reread,
        manager: ServiceManager,
        stray: StrayOutput,
    ) -> None:
        self._settings = settings
        self._recording = record_to is not None
        self._reread = reread
        self._manager = manager
        self._stray = stray
        self._signs = VitalSigns()
        self._pipeline = PipelineProcess(
            settings,
            listener,
            record_to,
            self._signs,
            introduce=self._introduce,
            on_rollback=self._rolled_back,
        )
        self._file = FileWatch(settings.config.file or DEFAULT_FILE)
        self._refusal = ""
        self._waiting: tuple[str, ...] = ()
        self._probes_ready = False
        self._unready = True
        self._signals: list[int] = []
        self._session: KernelSession | None = None
        self._watcher: Watcher | None = None
        self._speakers: Speakers | None = None
        self._containers: Containers | None = None
        self._process_ring: RingBuffer | None = None
        self._tracepoints: Tracepoints | None = None

    def run(self) -> int:
        """Start everything, watch over it, stop it."""
        waker = self._catch_signals()
        held, wanted = effective_capabilities(), needs_here(self._settings, recording=self._recording)
        attach, locator = attach_mode(self._settings.capture.attach, kernel_release()), self._locator()
        loading = Loading(
            interpreter=str(self._settings.capture.python),
            offsets=kernel_offsets,
            attach=attach,
            data_ring_bytes=self._settings.capture.effective_ring_bytes(),
            confine=lambda: limit_to(used_by_loader(wanted, held), for_program=True),
            cache=BytecodeCache(plans) if (plans := self._plans_directory()) else None,
        )
        limit_to(used_by_supervisor(Stage.ATTACHING, wanted, held))
        self._pipeline.start()
        try:
            self._start_capture(loading, self._scanner(locator, attach), CiphertextFiles(locator))
            return self._watch(waker)
        except BaseException:
            self._pipeline.kill()  # nothing reaches it any more, and nobody waits for it
            raise

    def _scanner(self, locator: LibraryLocator, attach: str) -> LibraryScanner:
        named = tuple(str(path) for path in self._settings.capture.libraries)
        # Taking a probe away by perf events costs 0.1 s: not for what nobody may ever run.
        return LibraryScanner(locator, named=named, programs=attach == "multi", patience=_START_SECONDS)

    def _locator(self) -> LibraryLocator:
        return LibraryLocator(
            self._plans_directory(),
            force_classic=self._settings.capture.sites == "classic",
            confine=lambda keep: renounce(*pipeline_account(self._settings), keep),
        )

    def _start_capture(self, loading: Loading, scanner: LibraryScanner, ciphertext: CiphertextFiles) -> None:
        found: list[FilePlan] = []
        scanner.ahead_of_need(found.append)  # meanwhile the loader compiles
        self._session = session = loading.result()
        self._process_ring = RingBuffer(session.maps["process_ring"], session.process_ring_bytes)
        self._containers = containers = new_containers(self._settings, self._exclude)
        self._watcher = watcher = Watcher(
            session=session,
            scanner=scanner,
            processes=ProcessReader(host_name=host_identity().name),
            selectors=chosen_processes(self._settings),
            on_process=self._tell_process,
            instrumented=instrumentation_judge(self._settings),
            grace_seconds=self._settings.capture.rescan_seconds,
            containers=containers,
            ciphertext=ciphertext,
            plaintext=self._signs.plaintext,
        )
        self._speakers = Speakers(session, watcher, self._tell_judged)
        self._exclude_ourselves()
        self._tracepoints = Tracepoints(session)
        # Asked anew: tracefs may have been mounted since.
        needed = needs_here(self._settings, recording=self._recording)
        limit_to(used_by_supervisor(Stage.RUNNING, needed, effective_capabilities()))
        watcher.start(found)
        self._probes_ready = True
        self._introduce()
        logger.info(
            "capturing: %d files with TLS libraries probed, in use by %d processes; others as they appear",
            watcher.files,
            len(watcher.processes),
        )

    def _plans_directory(self) -> Path | None:
        """None where the pipeline could write there: where probes go must not be its choice."""
        shared = pipeline_account(self._settings)[0] == own_account()[0]
        return None if shared else plans_directory(self._settings)

    def _catch_signals(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        self._wakeup_writer = theirs  # closed with the process
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda received, _frame: self._signals.append(received))
        return ours

    def _introduce(self) -> None:
        """Tell a pipeline all it needs: rings, processes, state of the probes."""
        session, watcher = self._session, self._watcher
        if session is None:
            return
        names = ("data_ring", "control_ring", "counters", "ended_connections", "handshake_ring")
        rings = [session.maps[name] for name in names]
        sizes = {
            "data_bytes": session.data_ring_bytes,
            "control_bytes": session.control_ring_bytes,
            "handshake_bytes": session.handshake_ring_bytes,
        }
        with contextlib.suppress(OSError):  # it died already: the next one is introduced again
            self._pipeline.send({"kind": "rings", **sizes}, rings)
        if watcher is not None:
            self._exclude_ourselves()
            for facts, allowed in watcher.processes:
                self._tell_process(facts, allowed)
        if self._speakers is not None:
            for judged in self._speakers.judged:
                self._tell_judged(judged, is_news=False)
        self._tell_probes()

    def _tell_probes(self) -> None:
        failing = self._watcher.failing_since_start if self._watcher is not None else {}
        self._pipeline.send(
            probes_message(
                probes="; ".join(failing.values()) if self._probes_ready else "being attached",
                tracepoints="" if self._tracepoints is not None else "being attached",
            )
        )

    def _tell_process(self, facts: ProcessFacts, allowed: bool) -> None:
        self._pipeline.send(process_message(facts, allowed=allowed))

    def _tell_judged(self, judged: Judged, is_news: bool) -> None:
        self._pipeline.send(coverage_message(judged, is_news=is_news))

    def _notice(self, notice: ProcessNotice) -> None:
        assert self._watcher is not None
        assert self._speakers is not None
        self._watcher.notice(notice)
        if notice.kind is Kind.PROCESS_SPEAKS_TLS:
            self._speakers.notice(notice)

    def _judge_speakers(self, now: float) -> None:
        assert self._watcher is not None
        assert self._speakers is not None
        if self._watcher.leave_ciphertext():
            self._speakers.review()
        self._speakers.tick(now)

    def _exclude(self, pid: int) -> None:
        assert self._watcher is not None
        self._watcher.exclude(pid)

    def _exclude_ourselves(self) -> None:
        assert self._watcher is not None
        for pid in (os.getpid(), self._pipeline.pid):
            self._watcher.never(pid)

    def _watch(self, waker: socket.socket) -> int:
        assert self._process_ring is not None
        assert self._watcher is not None
        assert self._session is not None
        assert self._containers is not None
        ring, watcher, pipeline = self._process_ring, self._watcher, self._pipeline
        directory = self._containers.directory
        rounds = Rounds(self._settings.capture.rescan_seconds, time.monotonic())
        with selectors.DefaultSelector() as selector:
            selector.register(waker, selectors.EVENT_READ)
            selector.register(self._stray, selectors.EVENT_READ)
            selector.register(self._session.maps["process_ring"], selectors.EVENT_READ)
            selector.register(directory, selectors.EVENT_READ)
            if watcher.news_of_writes is not None:
                selector.register(watcher.news_of_writes, selectors.EVENT_READ)
            while True:
                selector.select(timeout=self._patience())
                self._signs.supervisor_goes_round()
                if watcher.leave_written():  # first of all: programs crash meanwhile
                    rounds.soon(time.monotonic())
                with contextlib.suppress(BlockingIOError):
                    waker.recv(4096)
                self._stray.drain()
                while self._signals:
                    number = self._signals.pop(0)
                    if number in (signal.SIGTERM, signal.SIGINT):
                        return self._stop()
                    if number == signal.SIGHUP:
                        self._reload(asked=True)
                        rounds.at_once()
                    elif number == signal.SIGCHLD:
                        pipeline.reap()
                directory.tick()
                watcher.complete(directory.collect())
                watcher.look_again()
                watcher.review_instrumentation()
                ring.drain(lambda memory, at, _size: self._notice(process_notice(memory, at)), _NOTICE_BYTES)
                if watcher.is_busy:
                    watcher.advance()
                now = time.monotonic()
                self._judge_speakers(now)
                pipeline.tend(now)
                if self._file.has_changed(now):
                    self._reload(asked=False)
                if rounds.is_due(now):
                    self._look_around()
                self._tell_manager(now)
                if pipeline.exit_code is not None:
                    return pipeline.exit_code

    def _look_around(self) -> None:
        assert self._watcher is not None
        assert self._speakers is not None
        self._speakers.settle()
        if self._watcher.rescan():
            self._tell_probes()
        self._speakers.review()

    def _patience(self) -> float:
        """How long to wait for something to happen, in seconds."""
        assert self._watcher is not None
        if self._watcher.is_busy:
            return 0.01
        return 0.05 if self._watcher.wants_attention or self._pipeline.is_due else 1.0

    def _tell_manager(self, now: float) -> None:
        if self._unready and self._pipeline.runs:
            self._unready = False
            assert self._watcher is not None
            self._manager.ready(f"capturing: {self._watcher.files} library files probed")
        if self._pipeline.is_healthy:
            self._manager.alive(now)

    def _reload(self, *, asked: bool) -> None:
        """Take new settings over. ``asked``: by SIGHUP, for which certificates are read again in any case."""
        if self._recording:
            logger.info("a recording goes on as it began; settings are not read again")
            return
        try:
            change = compare(self._settings, self._reread())
            prepare_directories(change.settings)
        except SettingsError as error:
            self._refuse(str(error))
            return
        self._refusal = ""
        self._manager.reloading()
        self._settings = change.settings
        if change.applied:
            self._apply_at_once()
        if change.takes_pipeline:
            self._judge_anew()
        if change.takes_pipeline or asked:
            self._pipeline.replace(change.settings)
        else:
            self._pipeline.settings = change.settings
        self._unready = True  # until the pipeline runs: the service manager is told then
        self._tell_of(change, asked=asked)

    def _refuse(self, problem: str) -> None:
        self._signs.count_reload("refused")
        if problem != self._refusal:  # the same file asked for again is no news
            self._refusal = problem
            logger.error(
                "the new settings are refused, those before stay in force: %s",
                "; ".join(problem.splitlines()),
                extra={"event_name": "otel_qtap.reload"},
            )

    def _tell_of(self, change: Change, *, asked: bool) -> None:
        attributes = {"qtap.reload.applied": change.applied, "qtap.reload.waiting": change.waiting}
        extra = {"event_name": "otel_qtap.reload", "attributes": attributes}
        if change.waiting and change.waiting != self._waiting:
            keys = ", ".join(change.waiting)
            logger.warning("changed, but needs a restart of the agent to apply: %s", keys, extra=extra)
            self._signs.count_reload("needs_restart")
        else:
            self._signs.count_reload("applied" if change.applied else "unchanged")
        self._waiting = change.waiting
        if change.applied or asked:
            logger.info(
                "reloading: %s; %s",
                f"{', '.join(change.applied)} changed" if change.applied else "no setting changed",
                "the pipeline is replaced, the probes stay"
                if change.takes_pipeline or asked
                else "applied at once",
                extra=extra,
            )

    def _apply_at_once(self) -> None:
        settings = self._settings
        set_up_logging(settings.log_level, settings.log.format)
        self._pipeline.send(log_message(settings.log_level, settings.log.format))
        chosen = chosen_processes(settings)
        self._pipeline.send(selectors_message(settings))
        if self._watcher is not None:
            self._watcher.choose(chosen)
        if self._speakers is not None:
            self._speakers.review()

    def _judge_anew(self) -> None:
        if self._watcher is not None:
            self._watcher.judge_anew(instrumentation_judge(self._settings))

    def _rolled_back(self, settings: Settings) -> None:
        self._signs.count_reload("rolled_back")
        self._settings = settings
        self._apply_at_once()
        self._judge_anew()

    def _stop(self) -> int:
        logger.info("stopping: reading what is left and flushing; a second signal stops at once")
        self._manager.stopping()
        self._pipeline.send({"kind": "stop"})
        if self._containers is not None:
            self._containers.directory.close()
        if self._watcher is not None:
            self._watcher.detach()
        if self._tracepoints is not None:
            self._tracepoints.detach()
        return self._pipeline.stop(
            lambda: any(number in (signal.SIGTERM, signal.SIGINT) for number in self._signals)
        )
