# SPDX-License-Identifier: Apache-2.0
"""Facts of a process from /proc (proc(5)). A process may vanish between any two reads."""

import os
import pwd
from typing import NamedTuple

from otel_qtap.discovery.bounded import read_bounded
from otel_qtap.discovery.cgroup import Placement, placement_of
from otel_qtap.discovery.environment import read_environment
from otel_qtap.discovery.mounts import complete_by_mounts
from otel_qtap.discovery.workload import identify
from otel_qtap.model.identity import ContainerFacts, ProcessFacts, ProcessId

NANOSECONDS_PER_TICK = 10**9 // os.sysconf("SC_CLK_TCK")

_MAX_STATUS = 16 << 10
_MAX_COMMAND_LINE = 64 << 10
_MAX_ENVIRONMENT = 1 << 20
_MAX_CGROUP = 64 << 10
_MAX_MOUNTS = 1 << 20
_MAX_USERS = 4096
_DELETED = " (deleted)"


class _Stat(NamedTuple):
    command: str
    parent_pid: int
    start_ticks: int


class ProcessReader:
    """Reads ProcessFacts. ``proc`` is where procfs is mounted, ``host_name`` the machine's own name."""

    def __init__(self, proc: str = "/proc", *, host_name: str = "") -> None:
        self._proc = proc
        self._host_name = host_name
        # Of processes in no container; their mounts, thousands on a machine full of containers, tell nothing.
        self._plain_mounts = frozenset(
            filter(None, (self._mount_namespace(process) for process in ("self", "1", "2")))
        )
        self._users: dict[int, str] = {}

    def facts(self, pid: int, start_time_ns: int | None = None) -> ProcessFacts | None:
        """What is known of a process; None when there is no such process (any more).

        ``start_time_ns`` is the exact start time, where the kernel told it: then a process that
        only reuses the PID gives None. Without it the start time is that of /proc, in whole ticks
        of 10 ms.
        """
        stat = self._stat(pid)
        if stat is None or (start_time_ns is not None and not matches(stat.start_ticks, start_time_ns)):
            return None
        directory = f"{self._proc}/{pid}"
        user_id = _user_id(read_bounded(f"{directory}/status", _MAX_STATUS))
        placement = self._placement(pid)
        executable = self.executable(pid)
        environment = read_environment(read_bounded(f"{directory}/environ", _MAX_ENVIRONMENT))
        command_line = read_bounded(f"{directory}/cmdline", _MAX_COMMAND_LINE)
        again = self._stat(pid)
        if again is None or again.start_ticks != stat.start_ticks:
            return None
        if start_time_ns is None:
            start_time_ns = stat.start_ticks * NANOSECONDS_PER_TICK
        in_container = bool(placement.container_id)
        return identify(
            ProcessFacts(
                process=ProcessId(pid, start_time_ns),
                command=again.command,
                executable=executable,
                command_line=tuple(
                    os.fsdecode(argument) for argument in command_line.removesuffix(b"\0").split(b"\0")
                )
                if command_line
                else (),
                parent_pid=again.parent_pid,
                user_id=user_id,
                user_name="" if user_id is None else self._user_name(user_id),
                unit=placement.unit,
                declared=environment.declared,
                container_id=placement.container_id,
                container=ContainerFacts(runtime=placement.runtime, user_id=placement.user_id)
                if in_container
                else None,
                pod=environment.pod(placement.pod_uid, self._host_name) if in_container else None,
            )
        )

    def start_ticks(self, pid: int) -> int | None:
        """Start of a process in clock ticks since boot; None when there is none."""
        stat = self._stat(pid)
        return stat.start_ticks if stat else None

    def may_read_maps(self, pid: int) -> bool:
        """Whether what a process maps can be read: not of one that has ended, nor without privilege."""
        try:
            with open(f"{self._proc}/{pid}/maps", "rb", buffering=0) as maps:  # noqa: PTH123
                return bool(maps.read(1))
        except OSError:
            return False

    def _stat(self, pid: int) -> _Stat | None:
        # The command may hold blanks and parentheses: the last parenthesis ends it.
        head, found, tail = read_bounded(f"{self._proc}/{pid}/stat", _MAX_STATUS).rpartition(b")")
        fields = tail.split()
        if not found or len(fields) < 20:
            return None
        try:
            return _Stat(_text(head.partition(b"(")[2]), int(fields[1]), int(fields[19]))
        except ValueError:
            return None

    def _mount_namespace(self, process: int | str) -> int | None:
        try:
            return os.stat(f"{self._proc}/{process}/ns/mnt").st_ino  # noqa: PTH116
        except OSError:
            return None

    def _placement(self, pid: int) -> Placement:
        directory = f"{self._proc}/{pid}"
        placement = placement_of(_lines(read_bounded(f"{directory}/cgroup", _MAX_CGROUP)))
        if placement.container_id and (placement.pod_uid or not placement.is_relative):
            return placement
        if self._mount_namespace(pid) in self._plain_mounts:
            return placement
        return complete_by_mounts(placement, _lines(read_bounded(f"{directory}/mountinfo", _MAX_MOUNTS)))

    def executable(self, pid: int) -> str:
        """Path of the program that a process runs; empty where it is gone or a zombie."""
        try:
            return os.readlink(f"{self._proc}/{pid}/exe").removesuffix(_DELETED)  # noqa: PTH115
        except OSError:
            return ""

    def _user_name(self, user_id: int) -> str:
        name = self._users.get(user_id)
        if name is None:
            try:
                name = pwd.getpwuid(user_id).pw_name
            except (KeyError, OverflowError):
                name = ""
            if len(self._users) < _MAX_USERS:
                self._users[user_id] = name
        return name


def matches(start_ticks: int, start_time_ns: int) -> bool:
    """Whether a start time of /proc, in ticks, is the kernel's exact one, in nanoseconds."""
    return start_ticks == start_time_ns // NANOSECONDS_PER_TICK


def _user_id(status: bytes) -> int | None:
    """Effective user id."""
    fields = status.partition(b"\nUid:")[2].split(None, 2)
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else None


def _lines(raw: bytes) -> list[str]:
    return _text(raw).splitlines()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
