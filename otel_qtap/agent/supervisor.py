# SPDX-License-Identifier: Apache-2.0
"""The privileged process: loads, attaches, reads /proc, keeps the pipeline alive, stops in order."""

import contextlib
import logging
import os
import platform
import resource
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from otel_qtap.agent.account import own_account, pipeline_account
from otel_qtap.agent.capabilities import (
    Need,
    Stage,
    effective_capabilities,
    missing,
    needs,
    used_by_loader,
    used_by_supervisor,
)
from otel_qtap.agent.directories import plans_directory, prepare_directories
from otel_qtap.agent.health import listen
from otel_qtap.agent.instrumented import instrumentation_judge
from otel_qtap.agent.introduction import introduction
from otel_qtap.agent.kernel import OLDEST_KERNEL, attach_mode, kernel_release
from otel_qtap.agent.ledger import Ledger
from otel_qtap.agent.messages import Channel, process_message
from otel_qtap.agent.pid_namespace import HOW_TO_SHARE, is_the_hosts
from otel_qtap.agent.privileges import close_descriptors, drop_privileges, limit_to
from otel_qtap.agent.watcher import Watcher, chosen_processes
from otel_qtap.capture.attach import Tracepoints, find_tracefs, tracing_directory
from otel_qtap.capture.records import process_notice
from otel_qtap.capture.ring import RingBuffer
from otel_qtap.capture.session import KernelSession, Loading
from otel_qtap.discovery.btf import kernel_offsets
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.discovery.scan import LibraryScanner
from otel_qtap.errors import PrivilegeError, QtapError
from otel_qtap.model.identity import ProcessFacts
from otel_qtap.settings import Settings

logger = logging.getLogger(__name__)

STOP_SECONDS = 9.0
_NOTICE_BYTES = 2048
"""Most of the process ring between two looks at signals: some thirty notices, each of which may cost a
look at the memory map of a process that wants to keep us busy."""
_RESTART_SECONDS = (0.0, 0.2, 1.0, 5.0)
_SETTLED_SECONDS = 10.0
"""A pipeline that lived so long did not end because of how it started."""


def run_agent(settings: Settings, record_to: Path | None) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    With ``record_to`` raw kernel records go to that file and nowhere else. Raises QtapError.
    """
    for line in introduction(settings, os.environ, record_to):
        logger.info("%s", line)
    held, wanted = effective_capabilities(), _needs(settings)
    _require_privileges(missing(wanted, held))
    if not is_the_hosts():
        logger.warning("only processes of this container can be captured. %s", HOW_TO_SHARE)
    limit_to(used_by_supervisor(Stage.STARTING, wanted, held))
    # A recorder has no health to tell, and may run beside an agent that has.
    listener = None if record_to else listen(settings.health.address.host, settings.health.address.port)
    prepare_directories(settings)
    tracing_directory()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each probed file takes a few descriptors
    return Supervisor(settings, listener, record_to).run()


def _needs(settings: Settings) -> tuple[Need, ...]:
    return needs(
        kernel=kernel_release(),
        attach=attach_mode(settings.capture.attach, kernel_release()),
        tracefs=find_tracefs()[0],
        root=os.geteuid() == 0,
    )


def _require_privileges(lacking: Sequence[Need]) -> None:
    if platform.machine() != "x86_64":
        raise PrivilegeError(f"this machine is {platform.machine()}; capturing is built for x86_64")
    if kernel_release() < OLDEST_KERNEL:
        raise PrivilegeError(f"kernel {platform.release()} is too old: the BPF ring buffer came with 5.8")
    if required := [need for need in lacking if need.required]:
        lacks = "; ".join(f"{' or '.join(need.capabilities)}, which {need.purpose}" for need in required)
        raise PrivilegeError(
            f"uid {os.geteuid()} lacks capabilities here: {lacks}. Run as root, or grant them by name, "
            "and see `otel-qtap doctor`"
        )


class Supervisor:
    """Owns the kernel side and the pipeline process."""

    def __init__(self, settings: Settings, listener: socket.socket | None, record_to: Path | None) -> None:
        self._settings = settings
        self._listener = listener
        self._record_to = record_to
        self._ledger = Ledger()
        self._channel: Channel | None = None
        self._pipeline_pid = 0
        self._started_at = 0.0
        self._failures = 0
        self._restart_at: float | None = None
        self._replacing = False
        self._kill_at: float | None = None
        self._pipeline_ran = False
        self._failed_to_start: int | None = None
        self._probes_ready = False
        self._signals: list[int] = []
        self._session: KernelSession | None = None
        self._watcher: Watcher | None = None
        self._process_ring: RingBuffer | None = None
        self._tracepoints: Tracepoints | None = None

    def run(self) -> int:
        """Start everything, watch over it, stop it."""
        waker = self._catch_signals()
        held, wanted = effective_capabilities(), _needs(self._settings)
        scanner = self._scanner()
        loading = Loading(
            interpreter=str(self._settings.capture.python),
            offsets=kernel_offsets,
            attach=attach_mode(self._settings.capture.attach, kernel_release()),
            data_ring_bytes=self._settings.capture.effective_ring_bytes(),
            confine=lambda: limit_to(used_by_loader(wanted, held), for_program=True),
            name_marks=scanner.name_marks,
        )
        limit_to(used_by_supervisor(Stage.ATTACHING, wanted, held))
        self._start_pipeline()
        try:
            self._start_capture(loading, scanner)
            return self._watch(waker)
        except BaseException:
            self._kill_pipeline()  # nothing reaches it any more, and nobody waits for it
            raise

    def _scanner(self) -> LibraryScanner:
        locator = LibraryLocator(
            self._plans_directory(),
            force_classic=self._settings.capture.sites == "classic",
            confine=self._renounce,
        )
        return LibraryScanner(locator, named=tuple(str(path) for path in self._settings.capture.libraries))

    def _start_capture(self, loading: Loading, scanner: LibraryScanner) -> None:
        found = scanner.ahead_of_need()  # meanwhile the loader compiles
        self._session = session = loading.result()
        self._process_ring = RingBuffer(session.maps["process_ring"], session.process_ring_bytes)
        self._watcher = watcher = Watcher(
            session=session,
            scanner=scanner,
            processes=ProcessReader(),
            selectors=chosen_processes(self._settings),
            on_process=self._tell_process,
            instrumented=instrumentation_judge(self._settings),
            grace_seconds=self._settings.capture.rescan_seconds,
        )
        self._exclude_ourselves()
        self._tracepoints = Tracepoints(session)
        limit_to(used_by_supervisor(Stage.RUNNING, _needs(self._settings), effective_capabilities()))
        watcher.start(found)
        self._probes_ready = True
        self._introduce()
        logger.info(
            "capturing: %d TLS library files probed, in use by %d processes; others as they appear",
            watcher.files,
            len(watcher.processes),
        )

    def _renounce(self, keep: Iterable[int]) -> None:
        """Become as poor as the pipeline: in a child that reads what anybody can write."""
        close_descriptors(keep)
        drop_privileges(*pipeline_account(self._settings))

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

    def _start_pipeline(self) -> None:
        """Fork it: it shares our memory, and opens what needs root before it renounces it."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become_pipeline(Channel(theirs))
        theirs.close()
        self._channel = Channel(ours)
        self._pipeline_pid = pid
        self._started_at = time.monotonic()
        self._restart_at = None
        if self._session is not None:
            self._exclude_ourselves()
            self._introduce()

    def _become_pipeline(self, channel: Channel) -> None:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            threading.excepthook = _thread_failed
            # Whoever takes this process over must find no BPF program, probe or socket of the supervisor's.
            listener = self._listener
            close_descriptors([channel.fileno(), *([listener.fileno()] if listener else [])])
            if self._record_to is not None:
                from otel_qtap.agent.recorder import recorder_main  # noqa: PLC0415 - only one is needed

                code = recorder_main(self._settings, channel, self._record_to)
            else:
                from otel_qtap.agent.pipeline import pipeline_main  # noqa: PLC0415

                assert listener is not None
                code = pipeline_main(self._settings, channel, listener, self._ledger)
        except QtapError as error:
            logger.critical("%s", error)
            code = error.exit_code
        except BaseException as error:
            # The message of an unknown error may quote what it choked on; its type may not.
            logger.critical("the pipeline failed: %s at %s", type(error).__name__, _where(error))
        finally:
            logging.shutdown()
            os._exit(code)

    def _introduce(self) -> None:
        """Tell a pipeline all it needs: rings, processes, state of the probes."""
        session, channel = self._session, self._channel
        assert session is not None
        assert channel is not None
        rings = [session.maps[name] for name in ("data_ring", "control_ring", "counters")]
        sizes = {"data_bytes": session.data_ring_bytes, "control_bytes": session.control_ring_bytes}
        with contextlib.suppress(OSError):  # it died already: the next one is introduced again
            channel.send({"kind": "rings", **sizes}, rings)
        if self._watcher is not None:
            for facts, allowed in self._watcher.processes:
                self._tell_process(facts, allowed)
        channel.send({"kind": "probes", "ready": self._probes_ready})

    def _tell_process(self, facts: ProcessFacts, allowed: bool) -> None:
        if self._channel is not None:
            self._channel.send(process_message(facts, allowed=allowed))

    def _exclude_ourselves(self) -> None:
        assert self._watcher is not None
        for pid in (os.getpid(), self._pipeline_pid):
            self._watcher.exclude(pid)

    def _watch(self, waker: socket.socket) -> int:
        assert self._process_ring is not None
        assert self._watcher is not None
        assert self._session is not None
        ring, watcher = self._process_ring, self._watcher
        every = self._settings.capture.rescan_seconds
        next_scan = time.monotonic() + every
        with selectors.DefaultSelector() as selector:
            selector.register(waker, selectors.EVENT_READ)
            selector.register(self._session.maps["process_ring"], selectors.EVENT_READ)
            while True:
                selector.select(timeout=0.05 if watcher.wants_attention or self._restart_at else 1.0)
                with contextlib.suppress(BlockingIOError):
                    waker.recv(4096)
                while self._signals:
                    number = self._signals.pop(0)
                    if number in (signal.SIGTERM, signal.SIGINT):
                        return self._stop()
                    if number == signal.SIGHUP:
                        self._reload()
                        next_scan = 0.0
                    elif number == signal.SIGCHLD:
                        self._reap()
                watcher.look_again()
                watcher.look_for_exporters()
                ring.drain(
                    lambda memory, at, _size: watcher.notice(process_notice(memory, at)), _NOTICE_BYTES
                )
                now = time.monotonic()
                self._tend_pipeline(now)
                if now >= next_scan:
                    next_scan = now + every
                    watcher.rescan()
                if self._failed_to_start is not None:
                    return self._failed_to_start

    def _tend_pipeline(self, now: float) -> None:
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            logger.error("the pipeline did not stop in %d s and is killed", STOP_SECONDS)
            self._send_kill()
        if self._restart_at is not None and now >= self._restart_at:
            try:
                self._start_pipeline()
            except OSError as error:
                self._restart_at = now + _RESTART_SECONDS[-1]
                logger.error("the pipeline cannot be started again yet: %s", error.strerror)
        if self._channel is not None:
            self._channel.flush()
            self._pipeline_ran |= self._channel.has_spoken()  # its one message: running

    def _reap(self) -> None:
        if not self._pipeline_pid:
            return  # another child, or a signal that came twice
        pid, status = os.waitpid(self._pipeline_pid, os.WNOHANG)
        if not pid:
            return
        self._pipeline_pid = 0
        self._kill_at = None
        if self._channel is not None:
            self._pipeline_ran |= self._channel.has_spoken()
            self._channel.close()
            self._channel = None
        if not self._pipeline_ran or self._record_to is not None:
            # What kept it from starting will keep it: its own message said what. And a recording that
            # broke off is not begun again over what it holds.
            self._failed_to_start = max(os.waitstatus_to_exitcode(status), 1)
            return
        now = time.monotonic()
        if self._replacing and status == 0:
            self._replacing = False
            self._failures = 0
            self._restart_at = now
            return
        self._replacing = False
        if now - self._started_at > _SETTLED_SECONDS:
            self._failures = 0
        delay = _RESTART_SECONDS[min(self._failures, len(_RESTART_SECONDS) - 1)]
        self._failures += 1
        self._restart_at = now + delay
        logger.error(
            "the pipeline ended (%s); probes and ring live on, it is started again in %.1f s",
            _describe(status),
            delay,
        )

    def _reload(self) -> None:
        """SIGHUP: a fresh pipeline (certificates and credentials are read again), and a new look around."""
        logger.info("reloading: the pipeline is replaced; the probes stay")
        if self._channel is None:
            self._restart_at = time.monotonic()
        elif not self._replacing:
            self._replacing = True
            self._kill_at = time.monotonic() + STOP_SECONDS
            self._channel.send({"kind": "stop"})

    def _stop(self) -> int:
        logger.info("stopping: reading what is left and flushing; a second signal stops at once")
        deadline = time.monotonic() + STOP_SECONDS
        if self._channel is not None:
            self._channel.send({"kind": "stop"})
        if self._watcher is not None:
            self._watcher.detach()
        if self._tracepoints is not None:
            self._tracepoints.detach()
        while self._pipeline_pid and time.monotonic() < deadline:
            if any(number in (signal.SIGTERM, signal.SIGINT) for number in self._signals):
                logger.warning("stopped at once; what was not flushed is lost")
                self._kill_pipeline()
                return 1
            pid, status = os.waitpid(self._pipeline_pid, os.WNOHANG)
            if pid:
                self._pipeline_pid = 0
                return 1 if status else 0
            if self._channel is not None:
                self._channel.flush()
            time.sleep(0.01)
        if self._pipeline_pid:
            logger.error("the pipeline did not stop in %d s and is killed", STOP_SECONDS)
            self._kill_pipeline()
            return 1
        return 0

    def _kill_pipeline(self) -> None:
        if self._pipeline_pid and self._send_kill():
            os.waitpid(self._pipeline_pid, 0)
            self._pipeline_pid = 0

    def _send_kill(self) -> bool:
        """Whether it can be done."""
        try:
            os.kill(self._pipeline_pid, signal.SIGKILL)
        except PermissionError:
            logger.error(
                "the pipeline (pid %d) cannot be killed: that takes CAP_KILL. It ends by itself when it "
                "finds this process gone",
                self._pipeline_pid,
            )
            return False
        return True


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _where(error: BaseException) -> str:
    """Module and line of the innermost frame."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return f"{last.tb_frame.f_globals.get('__name__')}:{last.tb_lineno}" if last else "unknown"


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """In place of a traceback on standard error, whose text may quote what was captured."""
    name = failure.thread.name if failure.thread else "a thread"
    place = _where(failure.exc_value) if failure.exc_value else "unknown"
    logger.critical("%s failed: %s at %s", name, failure.exc_type.__name__, place)
