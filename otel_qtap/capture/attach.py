# SPDX-License-Identifier: Apache-2.0
"""Probes and tracepoints, attached and detached.

A probe lives as long as the descriptor that holds it: closing it, also by dying, detaches it. Where that
takes long, the probe is made to do nothing at once.
"""

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.slow_close import close_elsewhere
from otel_qtap.capture.syscalls import (
    perf_tracepoint,
    perf_uprobe,
    perf_uprobe_link,
    raw_tracepoint,
    uprobe_multi,
)
from otel_qtap.errors import CaptureError, PrivilegeError
from otel_qtap.probes.spec import Count, Hook

TRACING_DIRECTORIES = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
UPROBE_PMU = Path("/sys/bus/event_source/devices/uprobe/type")

RAW_TRACEPOINTS: dict[str, tuple[str, ...]] = {
    "qtap_process_exit": ("sched_process_exit",),
    "qtap_process_exec": ("sched_process_exec",),
    "qtap_socket_io": ("sock_send_length", "sock_recv_length"),
    "qtap_socket_state": ("inet_sock_set_state",),
    "qtap_socket_destroy": ("tcp_destroy_sock",),
}
SYSCALLS: dict[str, tuple[str, ...]] = {
    "qtap_sys_enter_mmap": ("mmap",),
    "qtap_sys_enter_close": ("close",),
    "qtap_sys_enter_receive": ("read", "readv", "recvfrom", "recvmsg"),
    "qtap_sys_enter_send": ("write", "writev", "sendto", "sendmsg"),
}
"""Tracepoints of each program. Of those about sockets one set is loaded: bpf/socket.c says which and why."""


_OPENSSL = 1
"""Library and shape in the cookies of what has a program for each kind of site."""

_DETACHING_THREADS = 32


class Site(NamedTuple):
    """One place in a file. ``cookie`` tells the BPF programs what is there (probes/spec.py)."""

    file_offset: int
    cookie: int
    on_return: bool
    """Whether the return of the function is probed too."""


class Tracefs(StrEnum):
    """Whether the files of tracefs can be reached."""

    READABLE = "readable"
    CLOSED = "closed"
    """Mounted for root alone: other accounts need CAP_DAC_READ_SEARCH."""
    ABSENT = "absent"


def find_tracefs(directories: Sequence[Path] = TRACING_DIRECTORIES) -> tuple[Tracefs, Path]:
    """Its state and place; where it is absent, the place to mount it at."""
    for directory in directories:
        try:
            os.stat(directory / "events")  # noqa: PTH116 - access(2) and exists() tell these two errors alike
        except PermissionError:
            return Tracefs.CLOSED, directory
        except OSError:
            continue
        return Tracefs.READABLE, directory
    return Tracefs.ABSENT, directories[0]


def tracing_directory() -> Path:
    """Where tracefs is mounted; mounts it when it is not. Raises PrivilegeError with what to do."""
    state, directory = find_tracefs()
    if state is not Tracefs.ABSENT:
        return directory
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tracefs", os.fsencode(directory), b"tracefs", 0, None):
        reason = os.strerror(ctypes.get_errno())
        raise PrivilegeError(
            f"tracefs is not mounted and cannot be mounted at {directory}: {reason}. "
            f"Mount it on the host (mount -t tracefs tracefs {directory}) and pass it on to a container: "
            f"-v {directory}:{directory}:ro"
        )
    return directory


class Tracepoints:
    """The tracepoints that bind sockets and feed discovery."""

    def __init__(self, session: KernelSession) -> None:
        events = tracing_directory() / "events" / "syscalls"
        self._held: list[int] = []
        for program, names in RAW_TRACEPOINTS.items():
            for name in names if program in session.programs else ():
                try:
                    self._held.append(raw_tracepoint(session.programs[program], name))
                except OSError as error:
                    self.detach()
                    raise CaptureError(
                        f"cannot attach to the tracepoint {name}: {error.strerror}. "
                        "The kernel needs CONFIG_BPF_EVENTS; the agent needs CAP_PERFMON and CAP_BPF."
                    ) from error
        for program, names in SYSCALLS.items():
            for name in names if program in session.programs else ():
                try:
                    number = int((events / f"sys_enter_{name}" / "id").read_text())
                    self._held.append(perf_tracepoint(session.programs[program], number))
                except OSError as error:
                    self.detach()
                    raise CaptureError(
                        f"cannot attach to the tracepoint syscalls/sys_enter_{name}: {error.strerror}. "
                        "The kernel needs CONFIG_FTRACE_SYSCALLS; the agent needs CAP_PERFMON and CAP_BPF, "
                        "and CAP_SYS_ADMIN where kernel.perf_event_paranoid is above 2."
                    ) from error

    def detach(self) -> None:
        """Close them; the last process that holds them detaches (90 ms each)."""
        _close(self._held)


FileState = tuple[int, int, int, int]
"""Device, inode, modification time in ns and size: what tells one state of one file from any other."""


class Probes:
    """All probes in one file, which must be in the ``state`` where its sites were found, if that is given.

    A path may lead to another file by the time it is used, for it may be a mapping of a process that
    wants that: probes at places that were found in one file would break another. With a ``pid`` they are in
    that process alone.
    """

    def __init__(
        self,
        session: KernelSession,
        path: str,
        sites: Sequence[Site],
        state: FileState | None = None,
        *,
        pid: int = 0,
    ) -> None:
        self._held: list[int] = []
        self._events: list[int] = []
        """Those that take the kernel long to close."""
        self._pid = pid
        try:
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                self._attach(session, file, sites, state)
            finally:
                os.close(file)
        except OSError as error:
            self.detach()
            hint = ""
            if session.attach == "perf" and error.errno in (errno.EACCES, errno.EPERM):
                hint = "; perf events may need CAP_SYS_ADMIN"
            raise CaptureError(
                f"cannot probe {path}: {error.strerror} ({errno.errorcode.get(error.errno or 0)}){hint}"
            ) from error

    @property
    def descriptors(self) -> int:
        """How many it holds."""
        return len(self._held) + len(self._events)

    def _attach(
        self, session: KernelSession, file: int, sites: Sequence[Site], state: FileState | None
    ) -> None:
        found = os.fstat(file)
        if state not in (None, (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        path = f"/proc/self/fd/{file}"
        if session.attach == "multi":
            self._attach_multi(session, path, sites)
        else:
            self._attach_perf(session, path, sites)

    def _attach_multi(self, session: KernelSession, path: str, sites: Sequence[Site]) -> None:
        # The return link first: a call in flight then leaves no entry without its return.
        for on_return, program in ((True, "qtap_return"), (False, "qtap_enter")):
            chosen = [site for site in sites if site.on_return or not on_return]
            if not chosen:
                continue
            self._held.insert(
                0,
                uprobe_multi(
                    session.programs[program],
                    path,
                    [site.file_offset for site in chosen],
                    [site.cookie for site in chosen],
                    on_return=on_return,
                    pid=self._pid,
                ),
            )

    def _attach_perf(self, session: KernelSession, path: str, sites: Iterable[Site]) -> None:
        pmu_type = int(UPROBE_PMU.read_text())
        for site in sites if "qtap_enter" in session.programs else ():
            for on_return in (True, False):
                if site.on_return or not on_return:
                    link, event = perf_uprobe_link(
                        session.programs["qtap_return" if on_return else "qtap_enter"],
                        pmu_type,
                        path,
                        site.file_offset,
                        site.cookie,
                        on_return=on_return,
                        pid=self._pid,
                    )
                    self._held.insert(0, link)
                    self._events.insert(0, event)
        for site in sites if "qtap_enter" not in session.programs else ():
            if site.cookie >> 16 & 0xFFFF != _OPENSSL:
                raise OSError(errno.EOPNOTSUPP, "kernels below 5.15 tell no probe sites apart: OpenSSL only")
            kind = f"{Hook(site.cookie & 0xFF).name}_{Count(site.cookie >> 8 & 0xFF).name}"
            programs = [("qtap_enter", False)]
            if site.on_return:
                programs.insert(0, ("qtap_return", True))
            for prefix, on_return in programs:
                self._events.insert(
                    0,
                    perf_uprobe(
                        session.programs[f"{prefix}_{kind}"],
                        pmu_type,
                        path,
                        site.file_offset,
                        on_return=on_return,
                    ),
                )

    def detach(self) -> None:
        """Detach, entries before returns, in some 50 ms.

        By perf events, a probe stays for a while, without its program; below 5.15 with it.
        """
        detach_together((self,))

    def let_go(self) -> list[int]:
        """Detach but for descriptors that take the kernel long to close: these are the caller's now."""
        _close(self._held)
        events, self._events = self._events, []
        return events


def detach_together(held: Iterable[Probes]) -> None:
    """Detach from many files at once: each time the kernel waits for all processors, and waits are shared."""
    waiting = list(held)
    slow: list[int] = []

    def work() -> None:
        with contextlib.suppress(IndexError):
            while True:
                slow.extend(waiting.pop().let_go())

    threads = [threading.Thread(target=work) for _ in range(min(len(waiting), _DETACHING_THREADS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_elsewhere(slow)


def _close(descriptors: list[int]) -> None:
    while descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptors.pop(0))
