# SPDX-License-Identifier: Apache-2.0
"""Which capabilities the agent uses, and for what (capabilities(7))."""

from pathlib import Path
from typing import NamedTuple

_BITS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_RESOURCE": 24,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
    "CAP_CHECKPOINT_RESTORE": 40,
}


class Need(NamedTuple):
    """Any one of ``capabilities`` satisfies it."""

    capabilities: tuple[str, ...]
    required: bool
    purpose: str


_NEEDS = (
    Need(("CAP_BPF", "CAP_SYS_ADMIN"), True, "loads BPF programs"),
    Need(("CAP_PERFMON", "CAP_SYS_ADMIN"), True, "attaches probes"),
    Need(("CAP_SETUID",), True, "gives up root in the process that parses what was captured"),
    Need(("CAP_SETGID",), True, "gives up root in the process that parses what was captured"),
    Need(("CAP_CHOWN",), False, "gives the agent's directories to the account without privileges"),
    Need(("CAP_KILL",), False, "ends a process of that account that hangs"),
    Need(("CAP_SYS_PTRACE",), False, "sees the processes of other users"),
    Need(("CAP_DAC_READ_SEARCH",), False, "reads executables and libraries whatever their mode"),
    Need(("CAP_CHECKPOINT_RESTORE", "CAP_SYS_ADMIN"), False, "opens libraries that were deleted or upgraded"),
)
_LOCKED_MEMORY = Need(("CAP_SYS_RESOURCE",), True, "locks memory for BPF maps (kernels before 5.11)")


def effective_capabilities(status: Path = Path("/proc/thread-self/status")) -> int:
    """The effective set of a task as a bit mask. Raises ValueError where its status does not tell."""
    for line in status.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    raise ValueError(f"{status} has no CapEff")


def missing_needs(held: int, kernel: tuple[int, int]) -> list[Need]:
    """What a task with these capabilities lacks on a kernel of this release."""
    needs = _NEEDS if kernel >= (5, 11) else (*_NEEDS, _LOCKED_MEMORY)
    return [need for need in needs if not any(held >> _BITS[name] & 1 for name in need.capabilities)]
