# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of itself."""

import os

from otel_qtap.agent.doctor.detached_mount import detached_mount
from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok, skip, warn
from otel_qtap.agent.kernel import LAST_COMMON_PARANOIA, OLDEST_KERNEL
from otel_qtap.agent.kernel import perf_event_paranoid as perf_event_paranoid_of

_ONE_LINE = 256


def architecture(host: Host) -> Outcome:
    """Probe sites and system call numbers are known for x86-64 only."""
    if host.machine == "x86_64":
        return ok(host.machine)
    return fail(f"{host.machine} is not supported", remedy="Run the agent on an x86-64 host.")


def release(host: Host) -> Outcome:
    """The kernel's version."""
    if host.kernel >= OLDEST_KERNEL:
        return ok(host.release)
    return fail(
        f"{host.release} is too old",
        detail="Ring buffers came with kernel 5.8.",
        remedy="Run a kernel of at least 5.8; 6.6 or later attaches and detaches probes fastest.",
    )


def lockdown(host: Host) -> Outcome:
    """Lockdown "confidentiality" forbids BPF to read memory (kernel_lockdown(7))."""
    try:
        states = _lockdown_states(host).split()
    except FileNotFoundError:
        return ok("none: this kernel has no lockdown")
    except OSError as error:
        return skip(f"securityfs is not mounted here, and cannot be looked at: {error.strerror}")
    state = next((word.strip("[]") for word in states if word.startswith("[")), "")
    if state == "confidentiality":
        return fail(
            "confidentiality: BPF programs may not read memory",
            remedy="Boot with lockdown=integrity, or without lockdown.",
        )
    return ok(state or "none")


def _lockdown_states(host: Host) -> str:
    mounted = host.sys / "kernel/security"
    if mounted.is_dir() and any(mounted.iterdir()):
        return (mounted / "lockdown").read_text()
    with detached_mount("securityfs") as mount:
        descriptor = os.open("lockdown", os.O_RDONLY | os.O_CLOEXEC, dir_fd=mount)
        try:
            return os.read(descriptor, _ONE_LINE).decode("ascii", "replace")
        finally:
            os.close(descriptor)


def perf_event_paranoid(host: Host) -> Outcome:
    """What the kernel lets whoever lacks CAP_PERFMON do, or CAP_SYS_ADMIN where a distribution raised it."""
    value = perf_event_paranoid_of(host.proc)
    if value is None:
        return skip("this kernel does not tell")
    if host.holds("CAP_SYS_ADMIN"):
        return ok(f"{value}; CAP_SYS_ADMIN stands above it")
    if not host.holds("CAP_PERFMON"):
        return skip(f"{value}; needs CAP_PERFMON")
    if value <= LAST_COMMON_PARANOIA:
        return ok(f"{value}; CAP_PERFMON stands above it")
    return warn(
        f"{value}: Debian's kernels then want CAP_SYS_ADMIN for system call tracepoints",
        remedy="Give it (the agent gives it up at once), or on the host: sysctl kernel.perf_event_paranoid=2",
    )


def unprivileged_bpf(host: Host) -> Outcome:
    """Whether everybody may load BPF programs; the agent does not need that."""
    try:
        value = (host.proc / "sys/kernel/unprivileged_bpf_disabled").read_text().strip()
    except OSError:
        return skip("this kernel does not tell")
    if value != "0":
        return ok("off")
    return warn(
        "on: any user of this host may load BPF programs",
        remedy="The agent does not need it: sysctl kernel.unprivileged_bpf_disabled=2",
    )
