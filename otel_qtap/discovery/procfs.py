# SPDX-License-Identifier: Apache-2.0
"""Facts of a process from /proc (proc(5)). A process may vanish between any two reads."""

import os
import pwd
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from otel_qtap.discovery.bounded import read_bounded
from otel_qtap.model.identity import ProcessFacts, ProcessId

NANOSECONDS_PER_TICK = 10**9 // os.sysconf("SC_CLK_TCK")

_MAX_STATUS = 16 << 10
_MAX_COMMAND_LINE = 64 << 10
_MAX_ENVIRONMENT = 1 << 20
_MAX_CGROUP = 64 << 10
_MAX_USERS = 4096
_DELETED = " (deleted)"

_CONTAINER_ID = re.compile(r"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")
"""Docker, containerd, CRI-O and Podman all name a container by 64 hex digits."""
_CONTAINER_MONITOR = "-conmon-"
"""CRI-O's and Podman's monitor runs beside its container, in a cgroup of nearly the same name."""
_SYSTEMD_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


class _Stat(NamedTuple):
    command: str
    parent_pid: int
    start_ticks: int


class _Declared(NamedTuple):
    """What the process's own OpenTelemetry variables say of its service."""

    name: str
    namespace: str
    version: str


class ProcessReader:
    """Reads ProcessFacts. ``proc`` is where procfs is mounted."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
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
        cgroups = read_bounded(f"{directory}/cgroup", _MAX_CGROUP).decode("utf-8", "replace").splitlines()
        container_id = container_id_of(cgroups)
        executable = self._executable(pid)
        declared = _declared(read_bounded(f"{directory}/environ", _MAX_ENVIRONMENT))
        command_line = read_bounded(f"{directory}/cmdline", _MAX_COMMAND_LINE)
        again = self._stat(pid)
        if again is None or again.start_ticks != stat.start_ticks:
            return None
        if start_time_ns is None:
            start_time_ns = stat.start_ticks * NANOSECONDS_PER_TICK
        return ProcessFacts(
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
            container_id=container_id,
            service_name=service_name_of(
                declared=declared.name,
                # A container's processes run below a unit of its runtime: that is not their service.
                unit="" if container_id else systemd_unit_of(cgroups),
                executable=executable,
                command=again.command,
            ),
            service_namespace=declared.namespace,
            service_version=declared.version,
        )

    def start_ticks(self, pid: int) -> int | None:
        """Start of a process in clock ticks since boot; None when there is none."""
        stat = self._stat(pid)
        return stat.start_ticks if stat else None

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

    def _executable(self, pid: int) -> str:
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


def container_id_of(cgroups: Iterable[str]) -> str:
    """Container id (64 hex digits) in the lines of /proc/PID/cgroup, or empty. Versions 1 and 2."""
    for line in cgroups:
        for component in reversed(line.split("/")):
            found = _CONTAINER_ID.search(component)
            if found and _CONTAINER_MONITOR not in component:
                return found[1]
    return ""


def systemd_unit_of(cgroups: Iterable[str]) -> str:
    """Name of the systemd service (``nginx`` of nginx.service) in /proc/PID/cgroup, or empty.

    The innermost service counts. A user's manager (user@1000.service) is none, nor is anything in a
    login session, which lives in a scope.
    """
    for line in cgroups:
        for component in reversed(line.split("/")):
            if component.endswith(".scope"):
                break
            if component.endswith(".service") and not component.startswith("user@"):
                return _SYSTEMD_ESCAPE.sub(lambda code: chr(int(code[1], 16)), component[: -len(".service")])
    return ""


def service_name_of(*, declared: str, unit: str, executable: str, command: str) -> str:
    """The first of these that is known, never empty:

    1. what the process declares: OTEL_SERVICE_NAME, else service.name of OTEL_RESOURCE_ATTRIBUTES
    2. its systemd unit
    3. the base name of its executable
    4. the kernel's name of it
    5. ``unknown_service``
    """
    return declared or unit or executable.rpartition("/")[2] or command or "unknown_service"


def _user_id(status: bytes) -> int | None:
    """Effective user id."""
    fields = status.partition(b"\nUid:")[2].split(None, 2)
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else None


def _declared(environment: bytes) -> _Declared:
    name = attributes = b""
    for entry in environment.split(b"\0"):
        if entry.startswith(b"OTEL_SERVICE_NAME="):
            name = entry[18:]
        elif entry.startswith(b"OTEL_RESOURCE_ATTRIBUTES="):
            attributes = entry[25:]
    declared = _resource_attributes(_text(attributes))
    return _Declared(
        _text(name).strip() or declared.get("service.name", ""),
        declared.get("service.namespace", ""),
        declared.get("service.version", ""),
    )


def _resource_attributes(text: str) -> dict[str, str]:
    """``key=value,...``, percent-decoded; none at all when any of it is malformed (as the resource
    SDK specification asks)."""
    attributes = {}
    for item in text.split(","):
        if not item.strip():
            continue
        key, found, value = item.partition("=")
        if not found:
            return {}
        try:
            attributes[unquote(key.strip(), errors="strict")] = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            return {}
    return attributes


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
