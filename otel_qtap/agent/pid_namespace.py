# SPDX-License-Identifier: Apache-2.0
"""Which processes can be seen from here (pid_namespaces(7))."""

from pathlib import Path

_HOSTS = "pid:[4026531836]"
"""PROC_PID_INIT_INO of include/linux/proc_ns.h, the same on every kernel."""

HOW_TO_SHARE = "Share the host's: --pid=host in podman and docker, hostPID in Kubernetes."


def is_the_hosts(proc: Path = Path("/proc")) -> bool:
    """Whether the processes of the whole host are in this namespace. Raises OSError without a /proc."""
    return str((proc / "self/ns/pid").readlink()) == _HOSTS
