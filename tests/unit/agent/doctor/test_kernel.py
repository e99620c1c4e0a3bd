# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.capabilities import mask
from otel_qtap.agent.doctor import Host, Status, kernel
from tests.unit.agent.doctor.conftest import write_status

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("release", "status"),
    [
        ("5.8.0", Status.OK),
        ("5.15.0-91-generic", Status.OK),
        ("6.18.44-custom", Status.OK),
        ("5.7.19", Status.FAIL),
        ("4.18.0-553.el8_10.x86_64", Status.FAIL),
        ("unheard of", Status.FAIL),
    ],
)
def test_release(make_host: Callable[..., Host], release: str, status: Status) -> None:
    outcome = kernel.release(make_host(release=release))
    assert outcome.status is status
    assert release in outcome.summary


def test_architecture(make_host: Callable[..., Host]) -> None:
    assert kernel.architecture(make_host(machine="x86_64")).status is Status.OK
    outcome = kernel.architecture(make_host(machine="aarch64"))
    assert outcome.status is Status.FAIL
    assert "aarch64" in outcome.summary


@pytest.mark.parametrize(
    ("content", "status", "summary"),
    [
        ("none [integrity] confidentiality\n", Status.OK, "integrity"),
        ("[none] integrity confidentiality\n", Status.OK, "none"),
        ("none integrity [confidentiality]\n", Status.FAIL, "confidentiality"),
    ],
)
def test_lockdown_of_a_mounted_securityfs(
    make_host: Callable[..., Host], sysfs: Path, content: str, status: Status, summary: str
) -> None:
    place = sysfs / "kernel/security"
    place.mkdir(parents=True)
    (place / "lockdown").write_text(content)
    outcome = kernel.lockdown(make_host())
    assert outcome.status is status
    assert summary in outcome.summary


def test_a_kernel_without_lockdown(make_host: Callable[..., Host], sysfs: Path) -> None:
    (sysfs / "kernel/security/apparmor").mkdir(parents=True)
    assert kernel.lockdown(make_host()).status is Status.OK


@pytest.mark.bpf
def test_lockdown_is_read_where_securityfs_is_not_mounted(
    make_host: Callable[..., Host], sysfs: Path
) -> None:
    (sysfs / "kernel/security").mkdir(parents=True)
    outcome = kernel.lockdown(make_host())
    assert outcome.status in (Status.OK, Status.FAIL)
    assert outcome.summary.split(":")[0] in ("none", "integrity", "confidentiality")
    assert list((sysfs / "kernel/security").iterdir()) == []


@pytest.mark.parametrize(("value", "status"), [("0", Status.WARN), ("1", Status.OK), ("2", Status.OK)])
def test_unprivileged_bpf(make_host: Callable[..., Host], proc: Path, value: str, status: Status) -> None:
    (proc / "sys/kernel/unprivileged_bpf_disabled").write_text(value + "\n")
    assert kernel.unprivileged_bpf(make_host()).status is status


def test_unprivileged_bpf_unknown(make_host: Callable[..., Host], proc: Path) -> None:
    (proc / "sys/kernel/unprivileged_bpf_disabled").unlink()
    assert kernel.unprivileged_bpf(make_host()).status is Status.SKIP


@pytest.mark.bpf
def test_lockdown_that_a_container_cannot_see(sysfs: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from otel_qtap.agent.doctor import Host, kernel;"
        "print(kernel.lockdown(Host(configuration='', sys=Path(sys.argv[1]))).status)"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", sys.executable, "-c", program, str(sysfs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "skip\n"


def test_what_stands_above_perf_event_paranoid(make_host: Callable[..., Host], proc: Path) -> None:
    assert kernel.perf_event_paranoid(make_host()).status is Status.SKIP
    (proc / "sys/kernel/perf_event_paranoid").write_text("3\n")
    assert kernel.perf_event_paranoid(make_host()).summary == "3; CAP_SYS_ADMIN stands above it"
    write_status(proc, CapEff=f"{mask(['CAP_PERFMON']):016x}")
    raised = kernel.perf_event_paranoid(make_host())
    assert (raised.status, "perf_event_paranoid=2" in raised.remedy) == (Status.WARN, True)
    (proc / "sys/kernel/perf_event_paranoid").write_text("2\n")
    assert kernel.perf_event_paranoid(make_host()).summary == "2; CAP_PERFMON stands above it"
    write_status(proc, CapEff="0000000000000000")
    assert kernel.perf_event_paranoid(make_host()).status is Status.SKIP
