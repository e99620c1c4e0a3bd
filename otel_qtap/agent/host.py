# SPDX-License-Identifier: Apache-2.0
"""Which machine this is, also where the agent runs in a container that has a name of its own."""

import os
import platform
import socket
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from otel_qtap.telemetry.resource import HostIdentity

_ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm32", "i686": "x86"}
)
"""The kernel's word for it, to that of the semantic conventions (``host.arch``)."""
_NODE_VARIABLES = ("NODE_NAME", "K8S_NODE_NAME")


def host_identity(proc: str = "/proc", environment: Mapping[str, str] = os.environ) -> HostIdentity:
    """The machine as its own first process sees it, where that is not hidden by a PID namespace.

    Takes privilege where the agent is in another mount namespace than that process.
    """
    machine = platform.machine()
    return HostIdentity(
        name=_name(proc, environment),
        id=_text(f"{proc}/1/root/etc/machine-id") or _text("/etc/machine-id"),
        arch=_ARCHITECTURES.get(machine, machine),
        os_type="linux",
    )


def _name(proc: str, environment: Mapping[str, str]) -> str:
    own = socket.gethostname()
    if _is_shared(proc, "uts"):
        return own
    node = next((environment[name] for name in _NODE_VARIABLES if environment.get(name)), "")
    return _text(f"{proc}/1/root/etc/hostname") or node or own


def _is_shared(proc: str, namespace: str) -> bool:
    """Whether the first process is in the same namespace of this kind as we are."""
    try:
        theirs = os.stat(f"{proc}/1/ns/{namespace}")  # noqa: PTH116
        ours = os.stat(f"{proc}/self/ns/{namespace}")  # noqa: PTH116
    except OSError:
        return True
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
