# SPDX-License-Identifier: Apache-2.0
"""Analyses a file in a short-lived process of its own.

The disassembler takes 10 MB that the supervisor would carry on for good, and both read what anybody
can write: a file that takes them down, or that they never finish with, costs that process only. What
it could do with the supervisor's privileges is what ``confine`` leaves of them: nothing.
"""

import json
import math
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any, Never

from otel_qtap.discovery.elf import ElfError, ElfFile
from otel_qtap.discovery.plan import Analysis
from otel_qtap.discovery.plan_cache import MAX_ENTRY_BYTES, from_entry, to_entry
from otel_qtap.probes.spec import TlsLibrary

LONGEST_SECONDS = 10.0
"""The worst file costs about a second of an idle processor."""


Confine = Callable[[Iterable[int]], None]
"""Gives privileges up in a forked child, and closes all descriptors but those given."""


class AnalysisApart:
    """What ``analysis.analyse`` finds, at the price of a fork and of loading the disassembler: 30 ms.

    It begins at once; the file must stay open until the ``result`` is there.
    """

    def __init__(
        self, elf: ElfFile, library: TlsLibrary, *, force_classic: bool, confine: Confine | None = None
    ) -> None:
        self._pipe, theirs = os.pipe()
        self._deadline = time.monotonic() + LONGEST_SECONDS
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._pipe)
            os.close(theirs)
            raise
        if self._pid == 0:
            _child(theirs, elf, library, force_classic, confine)
        os.close(theirs)

    @property
    def is_done(self) -> bool:
        """Whether the result takes no more waiting."""
        return _is_readable(self._pipe, 0) or time.monotonic() >= self._deadline

    def abandon(self) -> None:
        """Nobody wants the result any more."""
        os.close(self._pipe)
        _end(self._pid)

    def result(self) -> Analysis:
        """Wait for its end. Raises ElfError when the file cannot be read or its analysis came to no end."""
        try:
            answer = _read(self._pipe, self._deadline)
        finally:
            os.close(self._pipe)
            _end(self._pid)
        try:
            entry = json.loads(answer)
            if error := entry.get("error"):
                raise ElfError(str(error))
            return from_entry(entry)
        except (ValueError, TypeError, KeyError):
            raise ElfError("its analysis ended without a result") from None


def _is_readable(descriptor: int, seconds: float) -> bool:
    # By poll(2): select(2) takes no descriptor above 1023, and probes by perf events hold thousands.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _end(pid: int) -> None:
    """It ended by itself, or it never will."""
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        # It has another account, and without CAP_KILL the limit on its processor time has to do.
        process = os.pidfd_open(pid)
        try:
            if not _is_readable(process, LONGEST_SECONDS):
                return
        finally:
            os.close(process)
    os.waitpid(pid, 0)


def _child(
    pipe: int, elf: ElfFile, library: TlsLibrary, force_classic: bool, confine: Confine | None
) -> Never:
    try:
        with os.fdopen(pipe, "w") as file:
            json.dump(_answer(elf, library, force_classic, confine, pipe), file)
    finally:
        os._exit(0)  # nothing of the parent's is flushed, closed or reported a second time


def _answer(
    elf: ElfFile, library: TlsLibrary, force_classic: bool, confine: Confine | None, pipe: int
) -> dict[str, Any]:
    try:
        # Loads the disassembler, from files that may be closed to what this process becomes.
        from otel_qtap.discovery.analysis import analyse  # noqa: PLC0415

        seconds = math.ceil(LONGEST_SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        if confine:
            confine((pipe, elf.fileno()))
        return to_entry(analyse(elf, library, force_classic=force_classic))
    except ElfError as error:
        return {"error": str(error)}
    except Exception as error:
        # The message of an unknown error may quote what it choked on; its type may not.
        return {"error": f"its analysis failed: {type(error).__name__}"}


def _read(pipe: int, deadline: float) -> bytes:
    """All that is written to ``pipe``, or nothing of too much. Raises ElfError if it takes too long."""
    answer = b""
    while len(answer) <= MAX_ENTRY_BYTES:
        left = deadline - time.monotonic()
        if not _is_readable(pipe, max(left, 0)):
            raise ElfError(f"its analysis took more than {LONGEST_SECONDS:g} s")
        part = os.read(pipe, MAX_ENTRY_BYTES)
        if not part:
            return answer
        answer += part
    return b""
