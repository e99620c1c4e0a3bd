# SPDX-License-Identifier: Apache-2.0
"""What stands above capabilities: system call filters and security modules."""

import ctypes
import errno
from collections.abc import Callable

from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok, skip, warn
from otel_qtap.agent.doctor.remedies import remedy
from otel_qtap.capture.syscalls import SYS_BPF, SYS_PERF_EVENT_OPEN, call

_NO_FILTER = "0"
_UNPRIVILEGED_KERNEL = (5, 19)
"""Before it bpf(2) refuses whoever lacks CAP_BPF before it looks at anything else."""
_FREE_DOMAINS = frozenset({"unconfined_t", "unconfined_service_t", "spc_t", "kernel_t", "initrc_t", "init_t"})


def seccomp(host: Host) -> Outcome:
    """Whether a filter lets bpf(2) and perf_event_open(2) through to the kernel.

    Each is called so that the kernel refuses it for its arguments, before it asks for any privilege.
    """
    try:
        mode = host.status("Seccomp")
    except ValueError:
        return ok("none: this kernel has no seccomp")
    if mode == _NO_FILTER:
        return ok("no filter")
    if host.kernel < _UNPRIVILEGED_KERNEL and not host.holds("CAP_BPF"):
        return skip("this kernel tells a filter from a missing CAP_BPF only to who has that")
    refused = [name for name, probe in PROBES.items() if _error(probe) in (errno.EPERM, errno.ENOSYS)]
    if not refused:
        return ok("a filter that lets bpf and perf_event_open through")
    return fail(
        f"a filter refuses {' and '.join(refused)}, whatever the capabilities",
        detail="No program can be loaded or attached. Engines differ: newer ones let both through to who has "
        "CAP_BPF and CAP_PERFMON, older ones ask for CAP_SYS_ADMIN.",
        remedy=remedy(
            host,
            flags=("--security-opt=seccomp=unconfined",),
            pod="securityContext.seccompProfile.type: Unconfined",
            outside="Take bpf and perf_event_open out of the filter (systemd: SystemCallFilter=).",
        ),
    )


def _too_long_for_bpf() -> int:
    return call(SYS_BPF, ctypes.c_int(0), None, ctypes.c_uint(1 << 20))  # E2BIG


def _unknown_to_perf() -> int:
    every_flag = ctypes.c_ulong(0xFFFFFFFF)
    nobody = ctypes.c_int(-1)
    return call(SYS_PERF_EVENT_OPEN, None, nobody, nobody, nobody, every_flag)  # EINVAL


PROBES: dict[str, Callable[[], int]] = {"bpf": _too_long_for_bpf, "perf_event_open": _unknown_to_perf}


def _error(probe: Callable[[], int]) -> int:
    try:
        probe()
    except OSError as error:
        return error.errno or 0
    return 0


def security_module(host: Host) -> Outcome:
    """Whether AppArmor or SELinux confines this process (proc_pid_attr(5))."""
    label = ""
    for name in ("apparmor/current", "current"):
        try:
            label = (host.proc / "self/attr" / name).read_text().strip("\0\n ")
        except (OSError, UnicodeDecodeError):
            continue
        if label:
            break
    if not label or label == "unconfined":
        return ok("not confined")
    if label.count(":") >= 2:
        if label.split(":")[2] in _FREE_DOMAINS:
            return ok(f"SELinux: {label}")
        return warn(
            f"SELinux: {label}",
            detail="Domains of containers may neither load BPF programs nor look at the host's processes.",
            remedy=remedy(
                host,
                flags=("--security-opt=label=disable",),
                pod="securityContext.seLinuxOptions.type: spc_t",
                outside="Run in a domain that may use BPF and read other processes' /proc.",
            ),
        )
    if not label.endswith("(enforce)"):
        return ok(f"AppArmor: {label}")
    return warn(
        f"AppArmor: {label}",
        detail="Profiles of containers forbid to look at processes outside of the profile, and to mount.",
        remedy=remedy(
            host,
            flags=("--security-opt=apparmor=unconfined",),
            pod="securityContext.appArmorProfile.type: Unconfined",
            outside="Allow the profile capability bpf, perfmon and sys_ptrace, and ptrace (read).",
        ),
    )
