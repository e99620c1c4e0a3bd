# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host, Status, environment
from otel_qtap.agent.doctor.host import Runtime

ROOT = Path(__file__).parents[4]


def test_processes_of_the_host(make_host: Callable[..., Host], proc: Path) -> None:
    assert environment.processes(make_host()).status is Status.OK
    (proc / "1").rmdir()
    hidden = environment.processes(make_host())
    assert hidden.status is Status.WARN
    assert "hidepid" in hidden.remedy


def test_processes_of_a_container(make_host: Callable[..., Host], proc: Path) -> None:
    (proc / "self/ns/pid").unlink()
    assert environment.processes(make_host()).status is Status.WARN
    (proc / "self/ns/pid").symlink_to("pid:[4026532711]")
    outcome = environment.processes(make_host())
    assert outcome.status is Status.FAIL
    assert "unshare" in outcome.remedy
    assert environment.processes(make_host(runtime=Runtime.DOCKER)).flags == ("--pid=host",)
    assert "hostPID: true" in environment.processes(make_host(runtime=Runtime.KUBERNETES)).remedy


def test_processes_that_the_mount_hides(make_host: Callable[..., Host], proc: Path) -> None:
    (proc / "self/mountinfo").write_text("22 27 0:21 / /proc rw - proc proc rw,hidepid=invisible\n")
    (proc / "1").rmdir()
    assert "hidepid=invisible" in environment.processes(make_host()).summary
    (proc / "1").mkdir()
    (proc / "self/mountinfo").write_text("22 27 0:21 / /proc rw - proc proc rw,subset=pid\n")
    assert "subset=pid" in environment.processes(make_host()).summary


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_processes_that_the_kernel_hides() -> None:
    program = (
        "from otel_qtap.agent.doctor import Host, environment;"
        "print(environment.processes(Host(configuration='')).summary)"
    )
    hidden = 'mount -t proc -o hidepid=invisible proc /proc && exec "$@"'
    account = ["setpriv", "--reuid=64997", "--regid=64997", "--clear-groups"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hidden, "sh", *account, sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "only those of this user: /proc is mounted with hidepid=invisible\n"


def test_what_it_runs_in(make_host: Callable[..., Host]) -> None:
    assert environment.runtime(make_host()).summary == "no container"
    assert environment.runtime(make_host(runtime=Runtime.PODMAN)).summary == "a container of podman"
    assert environment.runtime(make_host(runtime=Runtime.OTHER)).summary == "a container"


def test_other_processes_can_be_looked_into(make_host: Callable[..., Host], proc: Path) -> None:
    (proc / "1/exe").symlink_to("/sbin/init")
    (proc / "2").mkdir()  # of the kernel
    outcome = environment.process_access(make_host())
    assert (outcome.status, outcome.summary) == (Status.OK, "1 processes can be looked into")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives capabilities up")
def test_other_processes_refuse_whoever_lacks_sys_ptrace() -> None:
    program = (
        "from otel_qtap.agent.doctor import Host, environment; o = environment.process_access("
        "Host(configuration='')); print(o.status, o.remedy)"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "warn Run as root, or grant CAP_SYS_PTRACE.\n"


def test_time_namespace(make_host: Callable[..., Host], proc: Path) -> None:
    assert environment.time_namespace(make_host()).status is Status.OK
    (proc / "self/ns/time").symlink_to("time:[4026531834]")
    assert environment.time_namespace(make_host()).summary == "the host's"
    (proc / "self/ns/time").unlink()
    (proc / "self/ns/time").symlink_to("time:[4026532999]")
    assert environment.time_namespace(make_host()).status is Status.WARN


def test_cgroup_namespace(make_host: Callable[..., Host], proc: Path) -> None:
    (proc / "self/ns/cgroup").symlink_to("cgroup:[4026531835]")
    assert "namespace" not in environment.cgroups(make_host()).summary
    (proc / "self/ns/cgroup").unlink()
    (proc / "self/ns/cgroup").symlink_to("cgroup:[4026532999]")
    assert "a namespace of its own" in environment.cgroups(make_host()).summary


def test_cgroup_versions(make_host: Callable[..., Host], sysfs: Path) -> None:
    assert "not mounted" in environment.cgroups(make_host()).summary
    root = sysfs / "fs/cgroup"
    (root / "memory").mkdir(parents=True)
    assert environment.cgroups(make_host()).summary == "version 1"
    (root / "unified").mkdir()
    assert "hybrid" in environment.cgroups(make_host()).summary
    (root / "cgroup.controllers").write_text("cpu memory\n")
    assert environment.cgroups(make_host()).summary == "version 2"
