# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host, Status, privileges
from otel_qtap.agent.doctor.host import Runtime
from tests.unit.agent.doctor.conftest import write_status

BITS = {"DAC_READ_SEARCH": 2, "SETGID": 6, "SETUID": 7, "SYS_PTRACE": 19, "SYS_ADMIN": 21, "SYS_RESOURCE": 24}
BITS |= {"CHOWN": 0, "KILL": 5, "SETPCAP": 8} | {"PERFMON": 38, "BPF": 39, "CHECKPOINT_RESTORE": 40}
EVERYTHING_USED = frozenset(BITS) - {"SYS_ADMIN", "SYS_RESOURCE"}


def hold(proc: Path, names: frozenset[str], uid: int = 0) -> None:
    bits = f"{sum(1 << BITS[name] for name in names):016x}"
    write_status(proc, Uid=f"1000\t{uid}\t0\t0", CapEff=bits, CapBnd=bits)


def test_root_is_told_by_the_effective_user(proc: Path, make_host: Callable[..., Host]) -> None:
    hold(proc, EVERYTHING_USED, uid=0)
    assert privileges.user(make_host()).status is Status.OK
    hold(proc, EVERYTHING_USED, uid=1000)
    assert privileges.user(make_host()).status is Status.OK
    hold(proc, frozenset(), uid=1000)
    outcome = privileges.user(make_host())
    assert outcome.status is Status.WARN
    assert outcome.summary == "uid 1000"
    assert "sudo" in outcome.remedy


def test_what_the_agent_uses_is_enough(proc: Path, make_host: Callable[..., Host]) -> None:
    hold(proc, EVERYTHING_USED)
    assert privileges.capabilities(make_host()).status is Status.OK


def test_sys_admin_stands_for_those_that_were_split_from_it(
    proc: Path, make_host: Callable[..., Host]
) -> None:
    hold(proc, EVERYTHING_USED - {"BPF", "PERFMON"} | {"SYS_ADMIN"})
    assert privileges.capabilities(make_host()).status is Status.OK


@pytest.mark.parametrize("name", ["BPF", "PERFMON", "SETUID", "SETGID"])
def test_a_missing_capability_that_capture_needs(
    proc: Path, make_host: Callable[..., Host], name: str
) -> None:
    hold(proc, EVERYTHING_USED - {name})
    outcome = privileges.capabilities(make_host())
    assert outcome.status is Status.FAIL
    assert outcome.summary == f"missing: CAP_{name}"
    assert f"CAP_{name}" in outcome.detail


@pytest.mark.parametrize("name", ["CHOWN", "KILL", "SYS_PTRACE", "DAC_READ_SEARCH", "CHECKPOINT_RESTORE"])
def test_a_missing_capability_that_only_limits(proc: Path, make_host: Callable[..., Host], name: str) -> None:
    hold(proc, EVERYTHING_USED - {name})
    assert privileges.capabilities(make_host()).status is Status.WARN


def test_old_kernels_need_one_more(proc: Path, make_host: Callable[..., Host]) -> None:
    hold(proc, EVERYTHING_USED)
    outcome = privileges.capabilities(make_host(release="5.10.0", OTEL_QTAP_CAPTURE_ATTACH="perf"))
    assert outcome.status is Status.FAIL
    assert "CAP_SYS_RESOURCE" in outcome.summary


def test_a_container_is_told_the_flags(proc: Path, make_host: Callable[..., Host]) -> None:
    hold(proc, EVERYTHING_USED - {"BPF", "SYS_PTRACE"})
    outcome = privileges.capabilities(make_host(runtime=Runtime.PODMAN))
    assert outcome.flags == ("--cap-add=BPF", "--cap-add=SYS_PTRACE")
    pod = privileges.capabilities(make_host(runtime=Runtime.KUBERNETES))
    assert "capabilities.add: [BPF, SYS_PTRACE]" in pod.remedy


def test_what_the_engine_gave_to_root_alone(proc: Path, make_host: Callable[..., Host]) -> None:
    write_status(proc, Uid="1000\t1000\t1000\t1000", CapEff="0000000000000000")
    outcome = privileges.capabilities(make_host(runtime=Runtime.DOCKER))
    assert outcome.status is Status.FAIL
    assert outcome.flags == ("--user=0",)


def test_user_namespace(proc: Path, make_host: Callable[..., Host]) -> None:
    assert privileges.user_namespace(make_host()).status is Status.OK
    (proc / "self/ns/user").unlink()
    assert privileges.user_namespace(make_host()).status is Status.WARN
    (proc / "self/ns/user").symlink_to("user:[4026532000]")
    assert privileges.user_namespace(make_host()).status is Status.FAIL
