# SPDX-License-Identifier: Apache-2.0
"""The pipeline as its supervisor sees it: forked, replaced, killed when stuck, started again when it died."""

import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from otel_qtap.agent.ledger import Ledger
from otel_qtap.agent.log_output import redirected_to, set_role
from otel_qtap.agent.messages import Channel, Message
from otel_qtap.agent.vital_signs import VitalSigns
from otel_qtap.conditions import Condition
from otel_qtap.descriptors import close_others
from otel_qtap.errors import QtapError
from otel_qtap.settings import Settings

logger = logging.getLogger(__name__)

STOP_SECONDS = 9.0
STUCK_SECONDS = 30.0
"""A pipeline that has not looked at its ring for so long never will."""
_RESTART_SECONDS = (0.0, 0.2, 1.0, 5.0)
_SETTLED_SECONDS = 10.0
"""A pipeline that lived so long did not end because of how it started."""


class PipelineProcess:
    """One pipeline at a time. ``introduce`` is called with each new one, to tell it all it needs.

    ``settings`` are those that the next one starts with. If one that was to replace another cannot start,
    ``on_rollback`` is called with the settings before, and they are tried again.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket | None,
        record_to: Path | None,
        signs: VitalSigns,
        *,
        introduce: Callable[[], None],
        on_rollback: Callable[[Settings], None],
    ) -> None:
        self.settings = settings
        self.pid = 0
        self.exit_code: int | None = None
        """Set when there is no point in starting another one."""
        self._listener = listener
        self._record_to = record_to
        self._signs = signs
        self._introduce = introduce
        self._on_rollback = on_rollback
        self._ledger = Ledger()
        self._channel: Channel | None = None
        self._started_at = 0.0
        self._failures = 0
        self._restart_at: float | None = None
        self._replacing = False
        self._kill_at: float | None = None
        self._fallback: Settings | None = None
        self._ran_once = False
        self._runs = False
        self._forking = Condition(logger, "otel_qtap.pipeline.fork", level=logging.ERROR)

    @property
    def runs(self) -> bool:
        """Whether there is one that said that it runs, and that is not about to be replaced."""
        return self._runs and not self._replacing

    @property
    def is_due(self) -> bool:
        """Whether ``tend`` should be called soon."""
        return self._restart_at is not None or self._replacing or (bool(self.pid) and not self._runs)

    def start(self) -> None:
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
        self.pid = pid
        self._started_at = time.monotonic()
        self._restart_at = None
        self._runs = False
        self._introduce()

    def send(self, message: Message, descriptors: list[int] | None = None) -> None:
        """Tell it something, if there is one."""
        if self._channel is not None:
            self._channel.send(message, descriptors)

    def replace(self, settings: Settings) -> None:
        """Stop it in order and start another with these settings."""
        if self._fallback is None:
            self._fallback = self.settings
        self.settings = settings
        if self._channel is None:
            self._restart_at = time.monotonic()
        elif not self._replacing:
            self._replacing = True
            self._kill_at = time.monotonic() + STOP_SECONDS
            self._channel.send({"kind": "stop"})

    def tend(self, now: float) -> None:
        """Do what is due at ``now`` (``time.monotonic``)."""
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            logger.error("the pipeline did not stop in %d s and is killed", STOP_SECONDS)
            self._send_kill()
        if self._restart_at is not None and now >= self._restart_at:
            try:
                self.start()
                self._forking.recover("the pipeline could be started again")
            except OSError as error:
                self._restart_at = now + _RESTART_SECONDS[-1]
                reason = error.strerror or type(error).__name__
                self._forking.fail(reason, "the pipeline cannot be started again yet: %s", reason)
        if self._channel is not None:
            self._channel.flush()
            self._hear(self._channel)
        if self._is_stuck():
            logger.error("the pipeline has not looked at its ring for %d s and is killed", STUCK_SECONDS)
            self._runs = False
            self._send_kill()

    def _hear(self, channel: Channel) -> None:
        if channel.has_spoken():  # its one message: running
            self._runs = self._ran_once = True
            self._fallback = None

    def _is_stuck(self) -> bool:
        recorder = self._record_to is not None  # has no such loop
        watched = self._runs and not self._replacing and not recorder
        return watched and self._signs.pipeline_age > STUCK_SECONDS

    @property
    def is_healthy(self) -> bool:
        """Whether it goes round its loop, or is about to."""
        return not self._runs or self._record_to is not None or self._signs.pipeline_age < STUCK_SECONDS / 2

    def reap(self) -> None:
        """A child ended: see whether it was this one, and when to start another."""
        if not self.pid:
            return  # another child, or a signal that came twice
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return
        self.pid = 0
        self._kill_at = None
        if self._channel is not None:
            self._hear(self._channel)
            self._channel.close()
            self._channel = None
        ran, self._runs = self._runs, False
        if not self._ran_once or self._record_to is not None:
            # What kept it from starting will keep it: its own message said what. And a recording that
            # broke off is not begun again over what it holds.
            self.exit_code = max(os.waitstatus_to_exitcode(status), 1)
            return
        now = time.monotonic()
        in_order = self._replacing and status == 0
        self._replacing = False
        if in_order:
            self._failures = 0
            self._restart_at = now
        elif not ran and self._fallback is not None:
            self._roll_back(status)
            self._restart_at = now
        else:
            self._start_again(status, now)

    def _roll_back(self, status: int) -> None:
        assert self._fallback is not None
        self.settings, self._fallback = self._fallback, None
        logger.error(
            "the pipeline could not start with the new settings (%s); those before are in force again",
            _describe(status),
            extra={"event_name": "otel_qtap.reload"},
        )
        self._on_rollback(self.settings)

    def _start_again(self, status: int, now: float) -> None:
        self._signs.count_restart()
        if now - self._started_at > _SETTLED_SECONDS:
            self._failures = 0
        delay = _RESTART_SECONDS[min(self._failures, len(_RESTART_SECONDS) - 1)]
        # In an endless row of failures the first few say it all.
        level = logging.ERROR if self._failures < len(_RESTART_SECONDS) else logging.DEBUG
        self._failures += 1
        self._restart_at = now + delay
        logger.log(
            level,
            "the pipeline ended (%s); probes and ring live on, it is started again in %.1f s",
            _describe(status),
            delay,
            extra={"event_name": "otel_qtap.pipeline.ended"},
        )

    def stop(self, interrupted: Callable[[], bool]) -> int:
        """Have it finish, and wait for that; kill it if it takes too long, or when ``interrupted``.

        Returns the exit code for the agent.
        """
        deadline = time.monotonic() + STOP_SECONDS
        self.send({"kind": "stop"})
        while self.pid and time.monotonic() < deadline:
            if interrupted():
                logger.warning("stopped at once; what was not flushed is lost")
                self.kill()
                return 1
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return 1 if status else 0
            if self._channel is not None:
                self._channel.flush()
            time.sleep(0.01)
        if self.pid:
            logger.error("the pipeline did not stop in %d s and is killed", STOP_SECONDS)
            self.kill()
            return 1
        return 0

    def kill(self) -> None:
        """End it by force, if there is one."""
        if self.pid and self._send_kill():
            os.waitpid(self.pid, 0)
            self.pid = 0

    def _send_kill(self) -> bool:
        """Whether it can be done."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except PermissionError:
            logger.error(
                "the pipeline (pid %d) cannot be killed: that takes CAP_KILL. It ends by itself when it "
                "finds this process gone",
                self.pid,
            )
            return False
        return True

    def _become_pipeline(self, channel: Channel) -> None:
        code = 1
        set_role("pipeline" if self._record_to is None else "recorder")
        failure_level = logging.CRITICAL if self._failures <= len(_RESTART_SECONDS) else logging.DEBUG
        try:
            signal.set_wakeup_fd(-1)
            threading.excepthook = _thread_failed
            # Whoever takes this process over must find no BPF program, probe or socket of the supervisor's.
            listener, log = self._listener, redirected_to()
            kept = [channel.fileno(), *(file.fileno() for file in (listener, log) if file is not None)]
            gc.collect()  # finalizers of the supervisor's objects must not run later
            close_others(kept)
            if self._record_to is not None:
                from otel_qtap.agent.recorder import recorder_main  # noqa: PLC0415 - only one is needed

                code = recorder_main(self.settings, channel, self._record_to)
            else:
                from otel_qtap.agent.pipeline import pipeline_main  # noqa: PLC0415

                assert listener is not None
                code = pipeline_main(self.settings, channel, listener, self._ledger, self._signs)
        except QtapError as error:
            logger.log(failure_level, "%s", error)
            code = error.exit_code
        except BaseException as error:
            # The message of an unknown error may quote what it choked on; its type may not.
            logger.log(failure_level, "the pipeline failed: %s at %s", type(error).__name__, _where(error))
        finally:
            logging.shutdown()
            os._exit(code)


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
