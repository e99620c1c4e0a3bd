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
_FIRST_PROCESSES = ("1", "2")
"""The machine's init and the first of its kernel threads, for where nobody may look into init."""


def host_identity(proc: str = "/proc", environment: Mapping[str, str] = os.environ) -> HostIdentity:
    """The machine as its first processes see it, where they are not hidden by a PID namespace.

    Takes privilege where the agent is in another mount namespace than they are.
    """
    machine = platform.machine()
    return HostIdentity(
        name=_name(proc, environment),
        id=_of_machine(proc, "machine-id") or _text("/etc/machine-id"),
        arch=_ARCHITECTURES.get(machine, machine),
        os_type="linux",
    )


def _name(proc: str, environment: Mapping[str, str]) -> str:
    own = socket.gethostname()
    if _is_machines(proc):
        return own
    node = next((environment[name] for name in _NODE_VARIABLES if environment.get(name)), "")
    return _of_machine(proc, "hostname") or node or own


def _is_machines(proc: str) -> bool:
    """Whether our host name is in the namespace of the machine's own; false where that cannot be told."""
    own = _namespace(f"{proc}/self/ns/uts")
    theirs = (_namespace(f"{proc}/{process}/ns/uts") for process in _FIRST_PROCESSES)
    return own is not None and own == next(filter(None, theirs), None)


def _namespace(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _of_machine(proc: str, name: str) -> str:
    """The content of a file in the machine's /etc."""
    found = (_text(f"{proc}/{process}/root/etc/{name}") for process in _FIRST_PROCESSES)
    return next(filter(None, found), "")


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
