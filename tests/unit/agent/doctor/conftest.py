# SPDX-License-Identifier: Apache-2.0
"""A made-up /proc and /sys, and hosts that look at them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host
from otel_qtap.agent.doctor.host import Runtime
from otel_qtap.settings import load_settings

ALL_CAPABILITIES = (1 << 41) - 1
PROC_MOUNT = "22 27 0:21 / /proc rw - proc proc rw\n"


def write_status(proc: Path, **fields: str) -> None:
    """Root's, with these fields instead."""
    everything = f"{ALL_CAPABILITIES:016x}"
    known = {
        "Name": "python3",
        "Uid": "0\t0\t0\t0",
        "CapEff": everything,
        "CapBnd": everything,
        "Seccomp": "0",
    }
    text = "".join(f"{name}:\t{value}\n" for name, value in (known | fields).items())
    (proc / "self/status").write_text(text)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of root on the host, with everything in order."""
    proc = tmp_path / "proc"
    (proc / "self/ns").mkdir(parents=True)
    (proc / "1").mkdir()
    (proc / "sys/kernel").mkdir(parents=True)
    (proc / "self/ns/user").symlink_to("user:[4026531837]")
    (proc / "self/ns/pid").symlink_to("pid:[4026531836]")
    write_status(proc)
    (proc / "self/mountinfo").write_text(
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n22 27 0:21 / /proc rw - proc proc rw\n"
    )
    (proc / "sys/kernel/unprivileged_bpf_disabled").write_text("2\n")
    return proc


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """An empty /sys."""
    sysfs = tmp_path / "sys"
    sysfs.mkdir()
    return sysfs


@pytest.fixture
def make_host(proc: Path, sysfs: Path) -> Callable[..., Host]:
    """``make_host(VARIABLE=value, release=..., machine=..., runtime=...)``."""

    def make(
        *,
        release: str = "6.8.0",
        machine: str = "x86_64",
        runtime: Runtime = Runtime.NONE,
        **variables: str,
    ) -> Host:
        root = proc.parent / runtime.name
        root.mkdir(exist_ok=True)
        if runtime is not Runtime.NONE:
            (proc / "self/mountinfo").write_text(
                "27 1 0:9 / / rw - overlay overlay rw\n22 27 0:2 / /proc rw - proc proc rw\n"
            )
        (root / "run").mkdir(exist_ok=True)
        for mark in {Runtime.PODMAN: ["run/.containerenv"], Runtime.DOCKER: [".dockerenv"]}.get(runtime, []):
            (root / mark).touch()
        return Host(
            configuration=load_settings(variables),
            proc=proc,
            sys=sysfs,
            root=root,
            environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"} if runtime is Runtime.KUBERNETES else {},
            release=release,
            machine=machine,
        )

    return make
