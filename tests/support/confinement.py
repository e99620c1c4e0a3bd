# SPDX-License-Identifier: Apache-2.0
"""Starting a program with exactly these capabilities, as root or as another account.

The names are those of capabilities(7). As root they are what the bounding set leaves, as in a
container; for another account they are ambient, as a service manager gives them.
"""

from collections.abc import Collection

from otel_qtap.agent.capabilities import BITS

ROOT = 0
ACCOUNT = 64997
"""An account without a name, a home or a file."""

NAMED = (
    "CAP_BPF",
    "CAP_PERFMON",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_CHOWN",
    "CAP_KILL",
    "CAP_SYS_PTRACE",
    "CAP_DAC_READ_SEARCH",
    "CAP_CHECKPOINT_RESTORE",
)
"""All that the agent has a use for where tracefs is mounted and probes are uprobe_multi links."""


def confined(capabilities: Collection[str], *, uid: int = ROOT) -> list[str]:
    """Start of a command line."""
    numbers = ",".join(["-all", *(f"+cap_{BITS[name]}" for name in capabilities)])
    command = ["setpriv", f"--bounding-set={numbers}"]
    if uid != ROOT:
        command += [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        command += [f"--inh-caps={numbers}", f"--ambient-caps={numbers}"]
    return command


def without(*names: str) -> list[str]:
    """``NAMED`` but for these."""
    return [name for name in NAMED if name not in names]


def unmounted_tracefs() -> list[str]:
    """Start of a command line: in a mount namespace of its own, where tracefs is not mounted."""
    script = 'umount -q /sys/kernel/debug/tracing; umount /sys/kernel/tracing; exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh"]
