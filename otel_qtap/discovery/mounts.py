# SPDX-License-Identifier: Apache-2.0
"""Container and pod of a process from its mounts, where its control groups do not tell.

Every runtime mounts files of its own over /etc/hostname and /etc/hosts, from a directory that is named by the
container (Docker, Podman) or by the pod (the kubelet). Seen from any cgroup namespace these are the same.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from otel_qtap.discovery.cgroup import Placement

_MOUNT_POINTS = frozenset({"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})
_SOURCES = (
    ("docker", re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf)$")),
    ("podman", re.compile(r"/overlay-containers/([0-9a-f]{64})/userdata/(?:hostname|hosts|resolv\.conf)$")),
)
_KUBELET = re.compile(r"/pods/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})/etc-hosts$")


class _Mounted(NamedTuple):
    container_id: str = ""
    runtime: str = ""
    pod_uid: str = ""


def complete_by_mounts(placement: Placement, lines: Iterable[str]) -> Placement:
    """``placement`` with what it lacks taken from the lines of /proc/PID/mountinfo (proc(5))."""
    mounted = _mounted(lines)
    # The pause container owns the mounts of a pod's files under CRI-O, in Podman's directory layout.
    is_own = bool(mounted.container_id) and not (mounted.pod_uid or placement.pod_uid)
    if placement.container_id or not is_own:
        return placement._replace(pod_uid=placement.pod_uid or mounted.pod_uid)
    return placement._replace(container_id=mounted.container_id, runtime=mounted.runtime, unit="")


def _mounted(lines: Iterable[str]) -> _Mounted:
    found = _Mounted()
    for line in lines:
        fields = line.split(" ", 5)
        if len(fields) < 5 or fields[4] not in _MOUNT_POINTS:
            continue
        root = fields[3]
        for runtime, pattern in _SOURCES:
            if match := pattern.search(root):
                found = found._replace(container_id=match[1], runtime=runtime)
        if match := _KUBELET.search(root):
            found = found._replace(pod_uid=match[1])
    return found
