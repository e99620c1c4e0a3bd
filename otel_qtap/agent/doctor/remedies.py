# SPDX-License-Identifier: Apache-2.0
"""What to add where something is missing, in the words of what started the agent.

A container is told its flag; a pod its manifest's field; on a bare host the remedy is another one.
"""

from collections.abc import Iterable

from otel_qtap.agent.doctor.host import Host, Runtime
from otel_qtap.agent.doctor.outcome import Remedy

PID_NAMESPACE = ("--pid=host",)


def capability_flags(names: Iterable[str]) -> tuple[str, ...]:
    """``CAP_BPF`` to ``--cap-add=BPF``."""
    return tuple(f"--cap-add={name.removeprefix('CAP_')}" for name in names)


def volume_flags(path: str, *, writable: bool = False) -> tuple[str, ...]:
    """The host's directory at the same place."""
    return (f"--volume={path}:{path}{'' if writable else ':ro'}",)


def remedy(host: Host, *, flags: tuple[str, ...], pod: str, outside: str) -> Remedy:
    """``flags`` of docker and podman, what a ``pod`` wants, and what helps ``outside`` of containers."""
    match host.runtime:
        case Runtime.NONE:
            return Remedy(outside)
        case Runtime.KUBERNETES:
            return Remedy(f"In the pod's manifest: {pod}")
        case Runtime.DOCKER | Runtime.PODMAN:
            return Remedy(f"Start the container with {' '.join(flags)}", flags)
    return Remedy(f"Start the container with {' '.join(flags)}; in a pod's manifest: {pod}", flags)
