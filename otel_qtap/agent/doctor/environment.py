# SPDX-License-Identifier: Apache-2.0
"""Where the agent runs: on the host, or in a container that sees less of it."""

from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, ok, warn
from otel_qtap.agent.pid_namespace import HOW_TO_SHARE, is_the_hosts


def processes(host: Host) -> Outcome:
    """Whether the processes of the whole host can be seen."""
    try:
        whole = is_the_hosts(host.proc)
    except OSError as error:
        return warn(f"not known: {error.strerror}", remedy="Mount /proc.")
    if not whole:
        return warn("only those of this container: a PID namespace of its own", remedy=HOW_TO_SHARE)
    if not (host.proc / "1").is_dir():
        return warn(
            "only those of this user: /proc hides the others",
            remedy="Run as root, or mount /proc without hidepid.",
        )
    return ok("those of the whole host")


def cgroups(host: Host) -> Outcome:
    """Which control group hierarchy names containers here; each is understood."""
    root = host.sys / "fs/cgroup"
    if (root / "cgroup.controllers").exists():
        return ok("version 2")
    if (root / "unified").is_dir():
        return ok("version 1, with an unused version 2 beside it (hybrid)")
    if root.is_dir() and any(root.iterdir()):
        return ok("version 1")
    return ok("not mounted; containers are told from /proc alone")
