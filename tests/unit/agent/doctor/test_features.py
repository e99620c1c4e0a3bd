# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host, Status, features

ROOT = Path(__file__).parents[4]
TRACEPOINT = "events/syscalls/sys_enter_mmap/id"


def test_uprobe_events(make_host: Callable[..., Host], sysfs: Path) -> None:
    outcome = features.uprobe_events(make_host())
    assert outcome.status is Status.FAIL
    assert "CONFIG_UPROBE" in outcome.remedy
    place = sysfs / "bus/event_source/devices/uprobe"
    place.mkdir(parents=True)
    (place / "type").write_text("8\n")
    assert features.uprobe_events(make_host()).status is Status.OK
    (place / "type").write_text("\n")
    assert features.uprobe_events(make_host()).status is Status.FAIL


def test_absent_btf(make_host: Callable[..., Host], sysfs: Path) -> None:
    outcome = features.btf(make_host())
    assert outcome.status is Status.FAIL
    assert str(sysfs) in outcome.summary
    assert "CONFIG_DEBUG_INFO_BTF" in outcome.remedy


def test_damaged_btf(make_host: Callable[..., Host], sysfs: Path) -> None:
    (sysfs / "kernel/btf").mkdir(parents=True)
    (sysfs / "kernel/btf/vmlinux").write_bytes(b"\x9f\xeb\x01\x00")
    assert features.btf(make_host()).status is Status.FAIL


@pytest.mark.parametrize("place", ["kernel/tracing", "kernel/debug/tracing"])
def test_tracefs_is_found_where_it_is_mounted(
    make_host: Callable[..., Host], sysfs: Path, place: str
) -> None:
    (sysfs / place / TRACEPOINT).parent.mkdir(parents=True)
    assert features.tracefs(make_host()).status is Status.FAIL
    (sysfs / place / TRACEPOINT).write_text("1\n")
    outcome = features.tracefs(make_host())
    assert outcome.status is Status.OK
    assert str(sysfs / place) in outcome.summary


@pytest.mark.bpf
def test_tracefs_that_the_agent_can_mount(make_host: Callable[..., Host], sysfs: Path) -> None:
    assert features.tracefs(make_host()).status is Status.FAIL
    (sysfs / "kernel/tracing").mkdir(parents=True)
    outcome = features.tracefs(make_host())
    assert outcome.status is Status.OK
    assert "mounts it" in outcome.summary
    assert list((sysfs / "kernel/tracing").iterdir()) == []


@pytest.mark.bpf
def test_tracefs_that_it_cannot_mount(sysfs: Path) -> None:
    (sysfs / "kernel/tracing").mkdir(parents=True)
    program = (
        "import sys; from pathlib import Path; from otel_qtap.agent.doctor import Host, features;"
        "o = features.tracefs(Host(configuration='', sys=Path(sys.argv[1]))); print(o.status, o.remedy)"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", program, str(sysfs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("fail As root: mount -t tracefs")


@pytest.mark.bpf
def test_this_kernel_has_what_capture_needs() -> None:
    host = Host(configuration="not looked at")
    for check in (features.btf, features.programs, features.ring_buffer, features.uprobe_events):
        outcome = check(host)
        assert outcome.status is Status.OK, outcome
    assert features.tracefs(host).status is Status.OK
    assert features.uprobe_multi(host).status in (Status.OK, Status.WARN)
