# SPDX-License-Identifier: Apache-2.0
"""Which capabilities the agent uses, in which process and for what (capabilities(7)).

docs/capabilities.md shows this as a table, with what happens where one is missing.
"""

from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from otel_qtap.agent.kernel import LAST_COMMON_PARANOIA, UPROBE_MULTI_KERNEL
from otel_qtap.capture.attach import Tracefs

BITS = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYS_RESOURCE": 24,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
    "CAP_CHECKPOINT_RESTORE": 40,
}
"""The capabilities that the agent has a use for, by their numbers."""


class Stage(IntEnum):
    """How far the supervisor has come; it keeps what it needs from here on."""

    STARTING = 0
    """Makes directories, mounts tracefs, starts the loader; reads nothing of anybody else's."""
    ATTACHING = 1
    """The loader is on its own; tracepoints are attached when it is done."""
    RUNNING = 2
    """Finds and probes libraries, reads /proc, starts the pipeline again."""


class Need(NamedTuple):
    """Any one of ``capabilities`` satisfies it; the first that is held is used."""

    capabilities: tuple[str, ...]
    until: Stage
    """The last stage in which the supervisor itself needs it."""
    loader: bool
    """Whether the loader needs it."""
    required: bool
    """Whether the agent refuses to start without it."""
    purpose: str
    asked: bool = True
    """Whether it is missed where it is not held; else it is used while it is there anyway."""


_FREE_MAPS_KERNEL, _COUNTED_MEMORY_KERNEL, _CHECKPOINT_KERNEL = (5, 19), (5, 11), (5, 9)
"""Updates of maps without CAP_BPF; maps that are no locked memory any more; CAP_CHECKPOINT_RESTORE."""


def needs(
    *,
    kernel: tuple[int, int],
    attach: str,
    tracefs: Tracefs = Tracefs.READABLE,
    root: bool = True,
    recording: bool = False,
    paranoid: int | None = None,
) -> tuple[Need, ...]:
    """What the agent has a use for.

    ``kernel`` is its release, ``attach`` "multi" or "perf", ``root`` whether the agent runs as uid 0:
    another account may share itself with the pipeline, root may not. ``recording`` opens a file of the
    user's later than directories are made. ``paranoid`` is kernel.perf_event_paranoid.
    """
    starting, attaching, running = Stage
    account = "gives the process that parses what was captured an account of its own"
    found = [
        Need(
            ("CAP_BPF", "CAP_SYS_ADMIN"),
            starting if kernel >= _FREE_MAPS_KERNEL else running,
            True,
            True,
            "loads BPF programs",
        ),
        Need(("CAP_PERFMON", "CAP_SYS_ADMIN"), attaching, True, True, "loads and attaches tracing programs"),
        Need(("CAP_SETUID",), running, False, root, account),
        Need(("CAP_SETGID",), running, False, root, account),
        Need(("CAP_SYS_PTRACE",), running, False, False, "sees the processes of other users"),
        Need(("CAP_DAC_READ_SEARCH",), running, False, False, "reads libraries whatever their mode"),
        Need(
            # SYS_ADMIN would do, too, but is too much to keep for that where there is a smaller one.
            ("CAP_CHECKPOINT_RESTORE",) if kernel >= _CHECKPOINT_KERNEL else ("CAP_SYS_ADMIN",),
            running,
            False,
            False,
            "opens libraries that were deleted or upgraded",
        ),
        Need(("CAP_CHOWN",), starting, False, False, "gives directories to the account without privileges"),
        Need(
            ("CAP_DAC_OVERRIDE",),
            attaching if recording else starting,
            False,
            False,
            "makes directories and files in directories of others, as sudo users expect",
            asked=False,
        ),
        Need(
            ("CAP_NET_BIND_SERVICE",),
            starting,
            False,
            False,
            "listens at a health address with a port below 1024",
            asked=False,
        ),
        Need(("CAP_KILL",), running, False, False, "ends a process of that account that hangs"),
        Need(("CAP_SETPCAP",), running, False, False, "empties the bounding set of that process"),
    ]
    if attach == "perf":
        # Measured where there is a choice. Older kernels may be content with CAP_PERFMON.
        required = kernel >= UPROBE_MULTI_KERNEL
        found.append(Need(("CAP_SYS_ADMIN",), running, False, required, "attaches probes as perf events"))
    elif paranoid is not None and paranoid > LAST_COMMON_PARANOIA:
        # Debian's addition to perf_event_open(2), run on its 6.12: CAP_PERFMON does not stand above it.
        purpose = (
            f"attaches system call tracepoints where kernel.perf_event_paranoid is {paranoid}, as on Debian"
        )
        found.append(Need(("CAP_SYS_ADMIN",), attaching, False, False, purpose))
    if kernel < _COUNTED_MEMORY_KERNEL:
        found.append(Need(("CAP_SYS_RESOURCE",), running, True, True, "locks memory for BPF maps"))
    if tracefs is Tracefs.ABSENT:
        found.append(Need(("CAP_SYS_ADMIN",), starting, False, True, "mounts tracefs"))
    if tracefs is Tracefs.CLOSED:
        found.append(Need(("CAP_DAC_READ_SEARCH",), attaching, False, True, "reads tracefs"))
    return tuple(found)


def missing(wanted: Iterable[Need], held: int) -> list[Need]:
    """Those that a task with the capabilities ``held`` (a bit mask) cannot satisfy."""
    return [need for need in wanted if need.asked and not _used(need, held)]


def used_by_supervisor(stage: Stage, wanted: Iterable[Need], held: int) -> frozenset[str]:
    """What of ``held`` the supervisor has a use for from this stage on."""
    found = (_used(need, held) for need in wanted if need.until >= stage)
    return frozenset(filter(None, found))


def used_by_loader(wanted: Iterable[Need], held: int) -> frozenset[str]:
    """What of ``held`` the loader has a use for."""
    found = (_used(need, held) for need in wanted if need.loader)
    return frozenset(filter(None, found))


def _used(need: Need, held: int) -> str:
    return next((name for name in need.capabilities if held >> BITS[name] & 1), "")


def mask(names: Iterable[str]) -> int:
    """Capabilities by name as a bit mask."""
    return sum(1 << BITS[name] for name in frozenset(names))


def effective_capabilities(status: Path = Path("/proc/thread-self/status")) -> int:
    """The effective set of a task as a bit mask. Raises ValueError where its status does not tell."""
    for line in status.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    raise ValueError(f"{status} has no CapEff")
