# SPDX-License-Identifier: Apache-2.0
"""Each sample in tests/data/cgroups is a /proc/PID/cgroup as the runtime of its name writes it.

Ids are made up. tests/containers reads those of real containers of Podman and containerd.
"""

from pathlib import Path

import pytest

from otel_qtap.discovery.cgroup import Placement, placement_of

SAMPLES = Path(__file__).parents[2] / "data" / "cgroups"
ID = "4f1c2d3e5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f"
POD = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"


def container(runtime: str, pod: str = "", *, relative: bool = False, user: int | None = None) -> Placement:
    return Placement(ID, runtime, pod, "", user, relative)


EXPECTED = {
    "docker-v1-cgroupfs": container("docker"),
    "docker-v1-systemd": container("docker"),
    "docker-v2-cgroupfs": container("docker"),
    "docker-v2-systemd": container("docker"),
    "docker-v2-rootless": container("docker", user=1000),
    "docker-v2-cgroup-parent": container("docker"),
    "docker-hybrid-cgroupfs": container("docker"),
    "docker-in-docker-v1": container("docker"),
    "docker-v2-foreign-namespace": container("docker", relative=True),
    "docker-v1-foreign-namespace": container("", relative=True),
    "containerd-nerdctl-v2-systemd": container("containerd"),
    "containerd-nerdctl-v1-cgroupfs": container(""),
    "kubernetes-containerd-v1-cgroupfs-burstable": container("", POD),
    "kubernetes-containerd-v1-cgroupfs-guaranteed": container("", POD),
    "kubernetes-containerd-v1-systemd-besteffort": container("containerd", POD),
    "kubernetes-containerd-v1-colons": container("containerd", POD),
    "kubernetes-containerd-v2-systemd-burstable": container("containerd", POD),
    "kubernetes-containerd-v2-systemd-guaranteed": container("containerd", POD),
    "kubernetes-containerd-v2-foreign-namespace": container("containerd", POD, relative=True),
    "kubernetes-containerd-v2-own-pod": container("containerd", relative=True),
    "kubernetes-containerd-v2-kind": container("containerd", POD),
    "kubernetes-crio-v2-systemd-burstable": container("cri-o", POD),
    "kubernetes-crio-v2-systemd-inner": container("cri-o", POD),
    "kubernetes-crio-v1-cgroupfs": container("cri-o", POD),
    "kubernetes-crio-v2-monitor": Placement(pod_uid=POD),
    "kubernetes-dockershim-v1-cgroupfs": container("", POD),
    "kubernetes-dockerd-v2-systemd": container("docker", POD),
    "kubernetes-static-pod-v2": container("containerd", "1234567890abcdef1234567890abcdef"),
    "podman-v2-systemd": container("podman"),
    "podman-v2-pod": container("podman"),
    "podman-v2-rootless": container("podman", user=1000),
    "podman-v2-split": container("podman")._replace(unit="web.service"),
    "podman-v2-monitor": Placement(),
    "podman-v1-systemd": container("podman"),
    "podman-hybrid-cgroupfs": container("podman"),
    "ecs-v1": container(""),
    "systemd-v1-service": Placement(unit="nginx.service"),
    "systemd-v2-service": Placement(unit="nginx.service"),
    "systemd-v2-template": Placement(unit="postgresql@15-main.service"),
    "systemd-v2-user-service": Placement(unit="web.service"),
    "systemd-v2-escaped": Placement(unit="my-app.service"),
    "systemd-v2-session": Placement(),
    "systemd-v2-foreign-namespace": Placement(unit="nginx.service", is_relative=True),
    "host-v2-root": Placement(),
    "host-v2-foreign-namespace": Placement(is_relative=True),
}


def test_every_sample_is_expected() -> None:
    assert {path.stem for path in SAMPLES.glob("*.txt")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_placement_in_a_sample(name: str) -> None:
    assert placement_of((SAMPLES / f"{name}.txt").read_text().splitlines()) == EXPECTED[name]


@pytest.mark.parametrize("path", [f"/x/{ID}0", f"/x/{ID[1:]}", f"/x/{ID.upper()}", "", "/pod", "::"])
def test_what_only_resembles_a_container_is_none(path: str) -> None:
    assert not placement_of([f"0::{path}"]).container_id


def test_a_line_that_tells_of_a_container_counts_before_those_that_do_not() -> None:
    lines = ["12:pids:/", "1:name=systemd:/system.slice/docker.service", f"0::/docker/{ID}"]
    assert placement_of(lines) == container("docker")
    assert placement_of([*lines[:2], "0::/"]).unit == "docker.service"


def test_no_lines_and_no_sense_tell_nothing() -> None:
    assert placement_of([]) == placement_of(["", "nonsense", "::::"]) == Placement()
