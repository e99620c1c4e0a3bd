# SPDX-License-Identifier: Apache-2.0
"""Which kernel this is, and what follows from that."""

import platform
from pathlib import Path

OLDEST_KERNEL = (5, 8)
"""Ring buffers and CAP_BPF came with it."""
UPROBE_MULTI_KERNEL = (6, 6)
"""From here on one link carries many probes."""
LAST_COMMON_PARANOIA = 2
"""The highest kernel.perf_event_paranoid that the kernel itself knows; distributions know higher ones."""


def kernel_release(release: str | None = None) -> tuple[int, int]:
    """Major and minor number of the running kernel, or of a ``release``; (0, 0) where it has none."""
    major, _, rest = (platform.release() if release is None else release).partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return (int(major), int(minor)) if major.isdecimal() and minor else (0, 0)


def perf_event_paranoid(proc: Path = Path("/proc")) -> int | None:
    """The setting kernel.perf_event_paranoid; None where this kernel does not tell."""
    try:
        return int((proc / "sys/kernel/perf_event_paranoid").read_text())
    except (OSError, ValueError):
        return None


def attach_mode(wanted: str, kernel: tuple[int, int]) -> str:
    """How probes are attached, ``multi`` or ``perf``: as the setting says, else as the kernel can."""
    if wanted != "auto":
        return wanted
    return "multi" if kernel >= UPROBE_MULTI_KERNEL else "perf"
