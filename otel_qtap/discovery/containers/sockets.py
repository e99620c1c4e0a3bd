# SPDX-License-Identifier: Apache-2.0
"""Which runtimes' sockets are there, at the places where runtimes put them or where the user says."""

import glob
import os
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

USUAL = (
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/user/*/docker.sock",
    "/run/user/*/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
)
"""Globs, in the order in which they are asked."""

_CRI_NAMES = ("containerd.sock", "crio.sock")
_MAX_SOCKETS = 64


class RuntimeSocket(NamedTuple):
    """One socket that is there."""

    path: str
    speaks_cri: bool
    """The Kubernetes Container Runtime Interface; else the Docker Engine API."""
    user_id: int | None = None
    """Where it is no system service's: its owner, whose own containers alone it is believed of."""

    def serves(self, user_id: int | None) -> bool:
        """Whether it is asked about a container that belongs to this user, or to the system (None)."""
        return self.user_id is None or self.user_id == user_id


def runtime_sockets(named: Sequence[str] | None) -> list[RuntimeSocket]:
    """The sockets that are there now, of those named, or of the usual ones where that is None.

    A socket that the user named is trusted whoever owns it.
    """
    if named is not None:
        return list(_present(named, trusted=True))
    return list(_present((path for pattern in USUAL for path in glob.glob(pattern)), trusted=False))  # noqa: PTH207


def _present(paths: Iterable[str], *, trusted: bool) -> Iterable[RuntimeSocket]:
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            continue
        identity = (status.st_dev, status.st_ino)
        if not stat.S_ISSOCK(status.st_mode) or identity in seen or len(seen) >= _MAX_SOCKETS:
            continue
        seen.add(identity)
        name = path.rpartition("/")[2]
        yield RuntimeSocket(
            path,
            name in _CRI_NAMES or name.startswith("cri-"),
            None if trusted or status.st_uid == 0 else status.st_uid,
        )
