# SPDX-License-Identifier: Apache-2.0
"""Notices of files that processes map: each process is looked at as a whole, and only so many in a round.

Anybody can map thousands of new files at once. One look at a process answers all notices about it that came
before, and what is not answered yet is looked for together, a moment later.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from otel_qtap.agent.probed_files import Look, Met
from otel_qtap.capture.records import ProcessNotice
from otel_qtap.discovery.scan import KernelFile

SECOND_LOOK_NS = 50_000_000
WORK_A_ROUND = 512
"""Files that are identified, at 20 microseconds each, before signals and all else have their turn."""
_MOST_TOLD_OF = 32
"""Files of one process that are waited for by name. All that it maps as code is looked at in any case."""


class Files(Protocol):
    """agent.probed_files.ProbedFiles, as it is seen from here."""

    def marked(self, file: KernelFile, told_ns: int) -> Met | None:
        """What is known of a file without a look, having been told at this boot time."""

    def meet_all(self, pid: int, told: Mapping[KernelFile, int]) -> Look:
        """Look at one process, having been told at these boot times that it maps these files."""


@dataclass(slots=True)
class _Process:
    """One with files that are not known yet."""

    due_ns: int = 0
    looked_ns: int = 0
    """When the last look at it began."""
    notices: dict[KernelFile, ProcessNotice] = field(default_factory=dict)
    fresh: set[KernelFile] = field(default_factory=set)
    """Those of them that no look was for."""


class MappedFiles:
    """Has files looked at that the kernel side tells of; ``on_library`` is given notices of libraries."""

    def __init__(
        self,
        files: Files,
        on_library: Callable[[ProcessNotice], None],
        clock: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    ) -> None:
        self._files = files
        self._on_library = on_library
        self._clock = clock
        self._processes: OrderedDict[int, _Process] = OrderedDict()
        """In the order in which they are due."""
        self._work_left = WORK_A_ROUND

    @property
    def wants_attention(self) -> bool:
        """Whether ``look_again`` has work, now or in a moment."""
        return bool(self._processes)

    def notice(self, notice: ProcessNotice) -> None:
        """The kernel side saw that a process maps a file as code."""
        pid, file = notice.tgid, (notice.inode, notice.device)
        marked = self._files.marked(file, notice.timestamp_ns)
        if marked is not None:
            if marked is Met.LIBRARY:
                self._on_library(notice)
            return
        process = self._processes.get(pid) or _Process()
        was_looked_at = notice.timestamp_ns < process.looked_ns
        if len(process.notices) < _MOST_TOLD_OF:
            process.notices[file] = notice
            if not was_looked_at:
                process.fresh.add(file)
        if pid in self._processes and was_looked_at:
            return
        if self._work_left > 0:
            self._look(pid, process)
        elif pid not in self._processes:
            self._wait(pid, process)

    def look_again(self) -> None:
        """A round begins: second looks at those processes that are due, as many as there is time for."""
        self._work_left = WORK_A_ROUND
        now = self._clock()
        while self._processes and self._work_left > 0:
            pid, process = next(iter(self._processes.items()))
            if process.due_ns > now:
                break
            self._look(pid, process)

    def _look(self, pid: int, process: _Process) -> None:
        self._processes.pop(pid, None)
        process.looked_ns = self._clock()
        told = {file: notice.timestamp_ns for file, notice in process.notices.items()}
        look = self._files.meet_all(pid, told)
        self._work_left -= look.work
        of_libraries = [process.notices[file] for file, met in look.met.items() if met is Met.LIBRARY]
        if of_libraries:
            self._on_library(max(of_libraries, key=lambda notice: notice.timestamp_ns))
        # A file may be mapped only after we were told, but not so much later.
        process.notices = {
            file: process.notices[file]
            for file, met in look.met.items()
            if met is Met.AWAITED or (met is Met.ABSENT and file in process.fresh)
        }
        process.fresh.clear()
        if process.notices:
            self._wait(pid, process)

    def _wait(self, pid: int, process: _Process) -> None:
        process.due_ns = self._clock() + SECOND_LOOK_NS
        self._processes[pid] = process
