# SPDX-License-Identifier: Apache-2.0
"""What /proc says about a process: children, CPU time, memory, privileges."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Privileges:
    """Who a process is and what it may do."""

    user_ids: tuple[int, ...]
    """Real, effective, saved and file-system user id."""
    group_ids: tuple[int, ...]
    supplementary_groups: tuple[int, ...]
    effective_capabilities: int
    permitted_capabilities: int
    inheritable_capabilities: int
    ambient_capabilities: int
    bounding_capabilities: int
    no_new_privileges: bool


def descendants(pid: int) -> list[int]:
    """All living children of a process and theirs, in no particular order."""
    found: list[int] = []
    for task in _listing(f"/proc/{pid}/task"):
        for child in _text(f"/proc/{pid}/task/{task}/children").split():
            found.append(int(child))
            found.extend(descendants(int(child)))
    return found


def command_name(pid: int) -> str:
    """The kernel's name of the process (comm)."""
    return _text(f"/proc/{pid}/comm").strip()


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far; 0 when the process is gone."""
    stat = _text(f"/proc/{pid}/stat")
    if not stat:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def precise_cpu_seconds(pid: int) -> float:
    """As ``cpu_seconds``, in nanoseconds instead of ticks, but of the threads that live now."""
    tasks = (_text(f"/proc/{pid}/task/{task}/schedstat").split() for task in _listing(f"/proc/{pid}/task"))
    return sum(int(fields[0]) for fields in tasks if fields) / 1e9


def main_thread_cpu_seconds(pid: int) -> float:
    """CPU time of the main thread alone, in the precision of nanoseconds."""
    fields = _text(f"/proc/{pid}/task/{pid}/schedstat").split()
    return int(fields[0]) / 1e9 if fields else 0.0


def proportional_set_bytes(pid: int) -> int:
    """Memory with shared pages divided among those who share them (PSS)."""
    for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def privileges(pid: int) -> Privileges:
    """Identity and capabilities from ``/proc/PID/status``."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return Privileges(
        user_ids=tuple(map(int, status["Uid"].split())),
        group_ids=tuple(map(int, status["Gid"].split())),
        supplementary_groups=tuple(map(int, status["Groups"].split())),
        effective_capabilities=int(status["CapEff"], 16),
        permitted_capabilities=int(status["CapPrm"], 16),
        inheritable_capabilities=int(status["CapInh"], 16),
        ambient_capabilities=int(status["CapAmb"], 16),
        bounding_capabilities=int(status["CapBnd"], 16),
        no_new_privileges=status["NoNewPrivs"].strip() == "1",
    )


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    stat = _text(f"/proc/{pid}/stat")
    return bool(stat) and stat.rpartition(")")[2].split()[0] != "Z"


def processes_running(command: str) -> list[int]:
    """All processes that have ``command`` as the name of their program or of their script."""
    found = []
    for entry in _listing("/proc"):
        if entry.isdecimal():
            words = _text(f"/proc/{entry}/cmdline").split("\0")[:2]
            if any(word.rpartition("/")[2] == command for word in words):
                found.append(int(entry))
    return found


def mapped_files(pid: int) -> set[str]:
    """Paths of all files that the process has mapped, as its own mount namespace names them."""
    return {
        line.split(None, 5)[5]
        for line in _text(f"/proc/{pid}/maps").splitlines()
        if len(line.split(None, 5)) == 6
    }


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # the process ended meanwhile
        return ""


def _listing(path: str) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208
    except OSError:
        return []
