# SPDX-License-Identifier: Apache-2.0
"""Where the agent runs: on the host, or in a container that sees less of it."""

import os
from pathlib import Path

from otel_qtap.agent.doctor.host import Host, Runtime
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok, warn
from otel_qtap.agent.doctor.remedies import PID_NAMESPACE, capability_flags, remedy
from otel_qtap.agent.pid_namespace import is_the_hosts
from otel_qtap.discovery.scan import process_ids

_INITIAL_CGROUP_NAMESPACE = "cgroup:[4026531835]"
_INITIAL_TIME_NAMESPACE = "time:[4026531834]"
"""PROC_CGROUP_INIT_INO and PROC_TIME_INIT_INO of include/linux/proc_ns.h, the same on every kernel."""


def runtime(host: Host) -> Outcome:
    """What the agent runs in, as far as that shows."""
    found = host.runtime
    if found is Runtime.NONE:
        return ok("no container")
    return ok("a container" if found is Runtime.OTHER else f"a container of {found}")


def processes(host: Host) -> Outcome:
    """Whether the processes of the whole host can be seen."""
    try:
        whole = is_the_hosts(host.proc)
    except OSError as error:
        return warn(f"not known: {error.strerror}", remedy="Mount /proc.")
    if not whole:
        return fail(
            "only those of this container: a PID namespace of its own",
            detail="The kernel tells processes by the host's numbers, and here those are others': the agent "
            "refuses to start.",
            remedy=remedy(
                host,
                flags=PID_NAMESPACE,
                pod="hostPID: true",
                outside="Run outside of it: no unshare --pid.",
            ),
        )
    options = host.mount("/proc").options
    hiding = next((option for option in options if option.startswith("hidepid=")), "")
    if not (host.proc / "1").is_dir():
        return warn(
            f"only those of this user: /proc is mounted with {hiding or 'hidepid'}",
            remedy=remedy(
                host,
                flags=capability_flags(["CAP_SYS_PTRACE"]),
                pod="securityContext.capabilities.add: [SYS_PTRACE]",
                outside="Run as root, grant CAP_SYS_PTRACE, or mount /proc without hidepid.",
            ),
        )
    if "subset=pid" in options:
        return warn(
            "those of the whole host, but /proc is mounted with subset=pid",
            remedy="Mount a complete /proc: without it the settings of the kernel cannot be read.",
        )
    return ok("those of the whole host")


def process_access(host: Host) -> Outcome:
    """Whether other processes can be looked into: their memory maps, file systems and executables."""
    seen, refused = _looked_into(host.proc)
    if refused <= seen:
        return ok(f"{seen} processes can be looked into", detail=f"{refused} refuse" if refused else "")
    if host.holds("CAP_SYS_PTRACE"):
        grant = remedy(
            host,
            flags=("--security-opt=apparmor=unconfined", "--security-opt=label=disable"),
            pod="securityContext.appArmorProfile.type: Unconfined, or seLinuxOptions.type: spc_t",
            outside="Look for a security module that forbids ptrace (AppArmor, SELinux, Yama).",
        )
    else:
        grant = remedy(
            host,
            flags=capability_flags(["CAP_SYS_PTRACE"]),
            pod="securityContext.capabilities.add: [SYS_PTRACE]",
            outside="Run as root, or grant CAP_SYS_PTRACE.",
        )
    return warn(
        f"{refused} of {seen + refused} processes cannot be looked into",
        detail="Libraries that only they map are not found, and their executables not named.",
        remedy=grant,
    )


def _looked_into(proc: Path) -> tuple[int, int]:
    """(how many processes but this one can be, how many refuse); the kernel's own have nothing to see."""
    seen = refused = 0
    for pid in process_ids(str(proc)):
        try:
            if pid != os.getpid():
                (proc / str(pid) / "exe").readlink()
                seen += 1
        except PermissionError:
            refused += 1
        except OSError:
            continue
    return seen, refused


def cgroups(host: Host) -> Outcome:
    """Which control group hierarchy names containers here; each is understood."""
    root = host.sys / "fs/cgroup"
    try:
        namespace = str((host.proc / "self/ns/cgroup").readlink())
    except OSError:
        namespace = _INITIAL_CGROUP_NAMESPACE
    seen = "" if namespace == _INITIAL_CGROUP_NAMESPACE else ", seen from a namespace of its own"
    if (root / "cgroup.controllers").exists():
        return ok(f"version 2{seen}")
    if (root / "unified").is_dir():
        return ok(f"version 1, with an unused version 2 beside it (hybrid){seen}")
    if root.is_dir() and any(root.iterdir()):
        return ok(f"version 1{seen}")
    return ok(f"not mounted; containers are told from /proc alone{seen}")


def time_namespace(host: Host) -> Outcome:
    """Times in events are the host's since boot; a time namespace may count from elsewhere."""
    try:
        namespace = str((host.proc / "self/ns/time").readlink())
    except OSError:
        return ok("none: this kernel has no time namespaces")
    if namespace == _INITIAL_TIME_NAMESPACE:
        return ok("the host's")
    return warn(
        "one of its own: times of spans may be off by its offset",
        remedy="Run outside of it: no unshare --time.",
    )
