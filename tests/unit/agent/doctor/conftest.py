# SPDX-License-Identifier: Apache-2.0
"""A made-up /proc and /sys, and hosts that look at them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host
from otel_qtap.settings import load_settings

ALL_CAPABILITIES = (1 << 41) - 1


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of root on the host, with everything in order."""
    proc = tmp_path / "proc"
    (proc / "self/ns").mkdir(parents=True)
    (proc / "1").mkdir()
    (proc / "sys/kernel").mkdir(parents=True)
    (proc / "self/ns/user").symlink_to("user:[4026531837]")
    (proc / "self/ns/pid").symlink_to("pid:[4026531836]")
    (proc / "self/status").write_text(f"Name:\tpython3\nUid:\t0\t0\t0\t0\nCapEff:\t{ALL_CAPABILITIES:016x}\n")
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
    """``make_host(VARIABLE=value, release=..., machine=...)``."""

    def make(*, release: str = "6.8.0", machine: str = "x86_64", **variables: str) -> Host:
        return Host(
            configuration=load_settings(variables), proc=proc, sys=sysfs, release=release, machine=machine
        )

    return make
