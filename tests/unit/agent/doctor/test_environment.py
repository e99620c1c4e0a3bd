# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

from otel_qtap.agent.doctor import Host, Status, environment


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
    assert outcome.status is Status.WARN
    assert "--pid=host" in outcome.remedy


def test_cgroup_versions(make_host: Callable[..., Host], sysfs: Path) -> None:
    assert "not mounted" in environment.cgroups(make_host()).summary
    root = sysfs / "fs/cgroup"
    (root / "memory").mkdir(parents=True)
    assert environment.cgroups(make_host()).summary == "version 1"
    (root / "unified").mkdir()
    assert "hybrid" in environment.cgroups(make_host()).summary
    (root / "cgroup.controllers").write_text("cpu memory\n")
    assert environment.cgroups(make_host()).summary == "version 2"
