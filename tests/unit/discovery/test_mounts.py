# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.cgroup import Placement
from otel_qtap.discovery.mounts import complete_by_mounts

ID = "0123456789abcdef" * 4
POD = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
UNTOLD = Placement(is_relative=True)


def mount(root: str, point: str) -> str:
    return f"84 76 254:0 {root} {point} rw,relatime - ext4 /dev/vda rw"


@pytest.mark.parametrize(
    ("root", "point", "runtime"),
    [
        (f"/var/lib/docker/containers/{ID}/hostname", "/etc/hostname", "docker"),
        (f"/lib/docker/containers/{ID}/resolv.conf", "/etc/resolv.conf", "docker"),
        (f"/containers/storage/overlay-containers/{ID}/userdata/hosts", "/etc/hosts", "podman"),
    ],
)
def test_a_container_is_named_by_the_files_its_runtime_mounts(root: str, point: str, runtime: str) -> None:
    found = complete_by_mounts(UNTOLD, ["", "x y", mount(root, point)])
    assert (found.container_id, found.runtime) == (ID, runtime)


def test_a_pod_is_named_by_the_file_the_kubelet_mounts() -> None:
    lines = [mount(f"/var/lib/kubelet/pods/{POD}/etc-hosts", "/etc/hosts")]
    known = Placement(ID, "containerd", is_relative=True)
    assert complete_by_mounts(known, lines) == known._replace(pod_uid=POD)


def test_mounts_of_a_pods_sandbox_do_not_name_the_container() -> None:
    lines = [
        mount(f"/containers/storage/overlay-containers/{ID}/userdata/hostname", "/etc/hostname"),
        mount(f"/kubelet/pods/{POD}/etc-hosts", "/etc/hosts"),
    ]
    assert complete_by_mounts(UNTOLD, lines) == UNTOLD._replace(pod_uid=POD)


def test_what_is_known_already_stays() -> None:
    known = Placement("f" * 64, "podman", POD)
    lines = [mount(f"/var/lib/docker/containers/{ID}/hostname", "/etc/hostname")]
    assert complete_by_mounts(known, lines) == known


@pytest.mark.parametrize(
    "line",
    [
        mount(f"/var/lib/docker/containers/{ID}/hostname", f"/var/lib/docker/containers/{ID}/hostname"),
        mount("/", "/etc/hosts"),
        mount(f"/containers/{ID[1:]}/hosts", "/etc/hosts"),
    ],
)
def test_other_mounts_tell_nothing(line: str) -> None:
    service = Placement(unit="nginx.service")
    assert complete_by_mounts(service, [line]) == service
