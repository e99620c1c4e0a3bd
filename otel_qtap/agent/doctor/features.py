# SPDX-License-Identifier: Apache-2.0
"""What the kernel can do, tried out."""

import errno
import os
from pathlib import Path

from otel_qtap.agent.doctor import bpf_syscalls
from otel_qtap.agent.doctor.detached_mount import detached_mount
from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok, warn
from otel_qtap.agent.doctor.remedies import capability_flags, remedy, volume_flags
from otel_qtap.capture.attach import Tracefs
from otel_qtap.discovery.btf import OFFSETS, kernel_offsets
from otel_qtap.errors import CaptureError, PrivilegeError

_TRACEPOINT = "events/syscalls/sys_enter_mmap/id"
_NO_SYSCALL_EVENTS = (
    "Run a kernel with CONFIG_FTRACE_SYSCALLS=y; without it sockets cannot be bound to connections."
)


_BTF = "Run a distribution kernel, or one built with CONFIG_DEBUG_INFO_BTF=y."


def programs(host: Host) -> Outcome:
    """Whether a BPF program that does nothing can be loaded."""
    try:
        bpf_syscalls.load_program()
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return fail("the kernel has no bpf(2)", remedy="Run a kernel with CONFIG_BPF_SYSCALL=y.")
        return fail(
            f"refused: {error.strerror}",
            remedy="Look for what forbids it: a security module, lockdown.",
        )
    return ok("loaded one and gave it up")


def ring_buffer(host: Host) -> Outcome:
    """Whether the kernel makes ring buffers."""
    try:
        bpf_syscalls.make_ring_buffer()
    except OSError as error:
        return fail(
            f"refused: {error.strerror}",
            remedy="Run a kernel of at least 5.8; before 5.11 also raise the limit of locked memory.",
        )
    return ok("made one and gave it up")


def uprobe_multi(host: Host) -> Outcome:
    """Whether one link carries many probes."""
    try:
        found = bpf_syscalls.has_uprobe_multi()
    except OSError as error:
        return fail(f"refused: {error.strerror}", remedy="Look for a security module that forbids bpf(2).")
    if found:
        return ok("supported")
    return warn(
        "not supported: probes are perf events",
        detail="All works, but detaching takes about 100 ms a probe.",
        remedy="Run a kernel of at least 6.6.",
    )


def uprobe_events(host: Host) -> Outcome:
    """Whether the kernel has uprobes as perf events, the way without uprobe_multi."""
    place = host.sys / "bus/event_source/devices/uprobe/type"
    try:
        return ok(f"perf event type {int(place.read_text())}")
    except (OSError, ValueError):
        return fail(
            f"{place} is missing: the kernel has no uprobes",
            remedy="Run a kernel with CONFIG_UPROBES=y and CONFIG_UPROBE_EVENTS=y, and make /sys visible.",
        )


def btf(host: Host) -> Outcome:
    """Whether the kernel's type information says where the programs find sockets and processes."""
    place = host.sys / "kernel/btf/vmlinux"
    try:
        kernel_offsets(place)
    except (CaptureError, PrivilegeError) as error:
        return fail(
            str(error),
            detail="Without it the programs do not know where this kernel keeps sockets and processes.",
            remedy=remedy(
                host,
                flags=volume_flags("/sys/kernel/btf"),
                pod="a hostPath volume of /sys/kernel/btf, mounted there, read-only",
                outside=_BTF,
            ),
        )
    return ok(f"{len(OFFSETS)} of {len(OFFSETS)} fields found in {place}")


def tracefs(host: Host) -> Outcome:
    """Whether system call tracepoints can be reached; the agent mounts tracefs where it is not."""
    state, directory = host.tracefs()
    if state is Tracefs.CLOSED:
        return fail(
            f"{directory} is closed to uid {host.uid}",
            detail="Other accounts than root need CAP_DAC_READ_SEARCH.",
            remedy=remedy(
                host,
                flags=capability_flags(["CAP_DAC_READ_SEARCH"]),
                pod="securityContext.capabilities.add: [DAC_READ_SEARCH]",
                outside="Run as root, or grant CAP_DAC_READ_SEARCH.",
            ),
        )
    if state is Tracefs.READABLE:
        if _exists(directory / _TRACEPOINT):
            return ok(f"mounted at {directory}")
        return fail(f"{directory} has no system call tracepoints", remedy=_NO_SYSCALL_EVENTS)
    try:
        with detached_mount("tracefs") as mount:
            os.stat(_TRACEPOINT, dir_fd=mount)
    except FileNotFoundError:
        return fail("tracefs has no system call tracepoints", remedy=_NO_SYSCALL_EVENTS)
    except OSError as error:
        return fail(
            f"not mounted, and the agent cannot mount it: {error.strerror}",
            detail="Without it nothing can be attached to system calls. The host has to have it mounted, "
            "too: mount -t tracefs tracefs /sys/kernel/tracing",
            remedy=remedy(
                host,
                flags=volume_flags("/sys/kernel/tracing"),
                pod="a hostPath volume of /sys/kernel/tracing, mounted there, read-only",
                outside=f"As root: mount -t tracefs tracefs {directory}",
            ),
        )
    if not directory.is_dir():
        return fail(
            f"not mounted, and {directory} is missing to mount it at",
            remedy="Make the host's /sys visible to the agent.",
        )
    return ok(f"not mounted; the agent mounts it at {directory}")


def _exists(path: Path) -> bool:
    """Like Path.exists, but False where the mode of a directory forbids to look."""
    try:
        return path.exists()
    except OSError:
        return False
