# SPDX-License-Identifier: Apache-2.0
"""What this machine must offer before anything is started, or the agent refuses with how to get it."""

import os
import platform
from collections.abc import Sequence

from otel_qtap.agent.capabilities import Need, needs
from otel_qtap.agent.kernel import OLDEST_KERNEL, attach_mode, kernel_release, perf_event_paranoid
from otel_qtap.agent.pid_namespace import HOW_TO_SHARE, is_the_hosts
from otel_qtap.capture.attach import find_tracefs
from otel_qtap.errors import PrivilegeError
from otel_qtap.settings import Settings


def needs_here(settings: Settings, *, recording: bool) -> tuple[Need, ...]:
    """What capabilities are used on this kernel, with tracefs as it is now."""
    return needs(
        kernel=kernel_release(),
        attach=attach_mode(settings.capture.attach, kernel_release()),
        tracefs=find_tracefs()[0],
        root=os.geteuid() == 0,
        recording=recording,
        paranoid=perf_event_paranoid(),
    )


def require(lacking: Sequence[Need]) -> None:
    """Raises PrivilegeError where capturing cannot work here; ``lacking`` are needs that are not met."""
    if platform.machine() != "x86_64":
        raise PrivilegeError(f"this machine is {platform.machine()}; capturing is built for x86_64")
    if kernel_release() < OLDEST_KERNEL:
        raise PrivilegeError(f"kernel {platform.release()} is too old: the BPF ring buffer came with 5.8")
    if not is_the_hosts():
        raise PrivilegeError(
            "this is a PID namespace of its own, where processes have other numbers than those that the "
            f"kernel tells. {HOW_TO_SHARE}"
        )
    if required := [need for need in lacking if need.required]:
        lacks = "; ".join(f"{' or '.join(need.capabilities)}, which {need.purpose}" for need in required)
        raise PrivilegeError(
            f"uid {os.geteuid()} lacks capabilities here: {lacks}. Run as root, or grant them by name, "
            "and see `otel-qtap doctor`"
        )
