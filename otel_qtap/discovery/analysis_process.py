# SPDX-License-Identifier: Apache-2.0
"""Looks at a file in a short-lived process of its own.

The disassembler takes 10 MB that the supervisor would carry on for good, and what is looked through may be
as large as anybody likes: a file that takes its reader down, or that it never finishes with, costs that
process only. What it could do with the supervisor's privileges is what ``confine`` leaves of them: nothing.
"""

import json
import math
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Never

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.plan import Analysis
from otel_qtap.discovery.plan_cache import MAX_ENTRY_BYTES, from_entry, to_entry
from otel_qtap.discovery.recognition import Recognition, known_only, recognise
from otel_qtap.probes.spec import TlsLibrary

LONGEST_SECONDS = 10.0
"""The worst file costs about a second of an idle processor."""
_ENDING_SECONDS = 0.1

Confine = Callable[[Iterable[int]], None]
"""Gives privileges up in a forked child, and closes all descriptors but those given."""


Work = Callable[[], dict[str, Any]]
"""Done in the child; gives an answer that JSON has. Raises ElfError."""


class Apart:
    """Work on a file in a process of its own, which begins at once; the file must stay open until it is done.

    ``prepare`` makes the work, before privileges are given up. Raises OSError when there is no process.
    """

    def __init__(self, elf: ElfFile, prepare: Callable[[], Work], confine: Confine | None) -> None:
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        self._deadline = time.monotonic() + LONGEST_SECONDS
        self._answer = b""
        self._has_ended = False
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._pipe)
            os.close(theirs)
            raise
        if self._pid == 0:
            _child(theirs, elf, prepare, confine)
        os.close(theirs)

    @property
    def is_done(self) -> bool:
        """Whether the answer takes no more waiting."""
        return self.wait(0.0)

    def wait(self, until: float = math.inf) -> bool:
        """Wait for its end, no longer than ``until`` (monotonic seconds); returns whether it is done."""
        until = min(until, self._deadline)
        while not self._has_ended:
            if not _is_readable(self._pipe, max(until - time.monotonic(), 0.0)):
                return time.monotonic() >= self._deadline
            part = os.read(self._pipe, MAX_ENTRY_BYTES)
            self._answer += part
            self._has_ended = not part or len(self._answer) > MAX_ENTRY_BYTES
        return True

    def abandon(self) -> None:
        """Nobody wants the answer any more."""
        os.close(self._pipe)
        _end(self._pid)

    def answer(self) -> dict[str, Any]:
        """Wait for its end. Raises ElfError when the file cannot be read or the work came to no end."""
        try:
            self.wait()
        finally:
            self.abandon()
        if not self._has_ended:
            raise ElfError(f"its analysis took more than {LONGEST_SECONDS:g} s")
        try:
            entry = json.loads(self._answer if len(self._answer) <= MAX_ENTRY_BYTES else b"")
            error = entry.get("error")
        except (ValueError, AttributeError, RecursionError):
            raise _no_result() from None
        if error:
            raise ElfError(str(error))
        return dict(entry)


class AnalysisApart(Apart):
    """What ``analysis.analyse`` finds, at the price of a fork and of loading the disassembler: 30 ms.

    What is ``remembered`` is found again if it holds for this file.
    """

    def __init__(
        self,
        elf: ElfFile,
        library: TlsLibrary,
        *,
        force_classic: bool,
        remembered: Analysis | None = None,
        confine: Confine | None = None,
    ) -> None:
        def prepare() -> Work:
            # Loads the disassembler, from files that may be closed to what this process becomes.
            from otel_qtap.discovery.analysis import analyse  # noqa: PLC0415

            def work() -> dict[str, Any]:
                holds = remembered and remembered.evidence and elf.confirms(remembered.evidence)
                found = remembered if holds else None
                return to_entry(found or analyse(elf, library, force_classic=force_classic))

            return work

        super().__init__(elf, prepare, confine)

    def result(self) -> Analysis:
        """Wait for it. Raises ElfError as ``answer`` does."""
        try:
            return from_entry(self.answer())
        except (ValueError, TypeError, KeyError):
            raise _no_result() from None


class RecognitionApart(Apart):
    """What ``recognition.recognise`` tells, where there is so much to look through that it takes long."""

    def __init__(self, elf: ElfFile, *, confine: Confine | None = None) -> None:
        super().__init__(elf, lambda: lambda: {"found": recognise(elf)}, confine)

    def result(self) -> Recognition:
        """Wait for it. Raises ElfError as ``answer`` does."""
        try:
            libraries, unsupported = self.answer()["found"]
            return known_only(libraries, unsupported)
        except (ValueError, TypeError, KeyError):
            raise _no_result() from None


def _no_result() -> ElfError:
    return ElfError("its analysis ended without a result")


def _is_readable(descriptor: int, seconds: float) -> bool:
    # By poll(2): select(2) takes no descriptor above 1023, and probes by perf events hold thousands.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(math.ceil(seconds * 1000)))


_left: list[int] = []
"""Children that did not end when they were told to."""


def _end(pid: int) -> None:
    """It ended by itself, or is made to; where it does neither, it is left until it does."""
    with suppress(PermissionError):
        # It has another account, and without CAP_KILL the limit on its processor time has to do.
        os.kill(pid, signal.SIGKILL)
    process = os.pidfd_open(pid)
    try:
        if _is_readable(process, _ENDING_SECONDS):
            os.waitpid(pid, 0)
        else:
            _left.append(pid)
    finally:
        os.close(process)
    _left[:] = [one for one in _left if os.waitpid(one, os.WNOHANG) == (0, 0)]


def _child(pipe: int, elf: ElfFile, prepare: Callable[[], Work], confine: Confine | None) -> Never:
    try:
        with os.fdopen(pipe, "w") as file:
            json.dump(_answer(pipe, elf, prepare, confine), file)
    finally:
        os._exit(0)  # nothing of the parent's is flushed, closed or reported a second time


def _answer(pipe: int, elf: ElfFile, prepare: Callable[[], Work], confine: Confine | None) -> dict[str, Any]:
    try:
        work = prepare()
        seconds = math.ceil(LONGEST_SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        if confine:
            confine((pipe, elf.fileno()))
        return work()
    except ElfError as error:
        return {"error": str(error)}
    except Exception as error:
        # The message of an unknown error may quote what it choked on; its type may not.
        return {"error": f"its analysis failed: {type(error).__name__}"}
