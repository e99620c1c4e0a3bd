# SPDX-License-Identifier: Apache-2.0
"""Where a process lives, from its control groups (cgroups(7)): container, pod, systemd service.

A path is read component by component, from the innermost out, and never as a whole: under a cgroup
namespace other than the process's own it starts at some ancestor, or climbs by ``/..`` to one, and all that
is left of a container may be its last component. Versions 1, 2 and both at once give lines of one form.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

RUNTIMES: Mapping[str, str] = MappingProxyType(
    {
        "docker": "docker",
        "cri-containerd": "containerd",
        "nerdctl": "containerd",
        "crio": "cri-o",
        "libpod": "podman",
        "libpod-payload": "podman",
    }
)
"""The word before a container's id, to the name of its runtime (``container.runtime.name``)."""

_PARENTS: Mapping[str, str] = MappingProxyType({"docker": "docker", "libpod_parent": "podman"})
"""Groups in which the cgroupfs driver of a runtime puts a container that is named by its id alone."""

_CONTAINER = re.compile(r"(?:([a-z]+(?:-[a-z]+)*)[-:])?(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")
"""All runtimes name a container by 64 hex digits: alone, or after a word and a dash or a colon."""
_MONITOR = "conmon"
"""CRI-O's and Podman's monitor runs beside its container, in a group of nearly the same name."""
_POD = re.compile(
    r"(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?=$|:)"
)
"""A pod's uid, with underscores where systemd would take a dash for a level; static pods have a bare hash."""
_USER_SLICE = re.compile(r"user-([0-9]{1,10})\.slice")
_SYSTEMD_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
_OWN_UNIT = "libpod-payload"
"""Podman in a service of its own (``--cgroups=split``, Quadlet): the service is the container's."""


class Placement(NamedTuple):
    """What the control groups of a process tell. Empty where they tell nothing."""

    container_id: str = ""
    """64 hex digits."""
    runtime: str = ""
    pod_uid: str = ""
    """With dashes, whatever the spelling of the path."""
    unit: str = ""
    """The systemd service, such as ``nginx.service``. In a container: only where that is its own."""
    user_id: int | None = None
    """Whose container it is: a rootless runtime's containers live in the slice of a user."""
    is_relative: bool = False
    """The path climbs out of the reader's cgroup namespace, so that outer components are not seen."""


def placement_of(lines: Iterable[str]) -> Placement:
    """From the lines of /proc/PID/cgroup: the first one with a container, else the first with anything."""
    first = Placement()
    for line in lines:
        path = line.partition(":")[2].partition(":")[2]
        found = _placement(path.split("/"))
        if found.container_id:
            return found
        if first in (Placement(), Placement(is_relative=True)):
            first = found
    return first


def _placement(components: list[str]) -> Placement:
    relative = ".." in components
    pod_uid = _first(_pod_uid(component) for component in reversed(components))
    for position in range(len(components) - 1, -1, -1):
        found = _CONTAINER.search(components[position])
        if found is None:
            continue
        word, identifier = found[1] or "", found[2]
        if word.endswith(_MONITOR):
            break
        outer = components[:position]
        return Placement(
            identifier,
            RUNTIMES.get(word) or _PARENTS.get(outer[-1] if outer else "", ""),
            pod_uid,
            _service(outer) if word == _OWN_UNIT else "",
            _slice_user(outer),
            relative,
        )
    return Placement(pod_uid=pod_uid, unit=_service(components), is_relative=relative)


def _pod_uid(component: str) -> str:
    found = _POD.search(component)
    return found[1].replace("_", "-") if found else ""


def _service(components: list[str]) -> str:
    """The innermost service.

    A user's manager (user@1000.service) is none, nor is anything in a login session, which lives in a scope.
    """
    for component in reversed(components):
        if component.endswith(".scope"):
            return ""
        if component.endswith(".service") and not component.startswith("user@"):
            return _SYSTEMD_ESCAPE.sub(lambda code: chr(int(code[1], 16)), component)
    return ""


def _slice_user(components: list[str]) -> int | None:
    for component in reversed(components):
        if found := _USER_SLICE.fullmatch(component):
            return int(found[1])
    return None


def _first(values: Iterable[str]) -> str:
    return next(filter(None, values), "")
