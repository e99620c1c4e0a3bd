# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from otel_qtap.agent.capabilities import (
    Need,
    Stage,
    effective_capabilities,
    mask,
    missing,
    needs,
    used_by_loader,
    used_by_supervisor,
)
from otel_qtap.capture.attach import Tracefs

KERNEL = (6, 18)
STEADY = {
    "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL",
    "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_CHECKPOINT_RESTORE",
}  # fmt: skip
EVERYTHING = mask(STEADY | {"CAP_BPF", "CAP_PERFMON", "CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"})


def lacking(wanted: tuple[Need, ...], *held: str) -> set[str]:
    return {need.capabilities[0] for need in missing(wanted, mask(held)) if need.required}


def test_without_any_everything_that_is_required_is_missing() -> None:
    assert lacking(needs(kernel=KERNEL, attach="multi")) == {
        "CAP_BPF", "CAP_PERFMON", "CAP_SETUID", "CAP_SETGID",
    }  # fmt: skip


def test_an_account_of_its_own_may_share_itself_with_the_pipeline() -> None:
    assert lacking(needs(kernel=KERNEL, attach="multi", root=False)) == {"CAP_BPF", "CAP_PERFMON"}


def test_the_old_capability_stands_for_those_that_were_split_from_it() -> None:
    wanted = needs(kernel=KERNEL, attach="multi")

    assert lacking(wanted, "CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID") == set()
    assert used_by_loader(wanted, mask(["CAP_SYS_ADMIN"])) == {"CAP_SYS_ADMIN"}
    assert used_by_supervisor(Stage.RUNNING, wanted, mask(["CAP_SYS_ADMIN"])) == set()


def test_the_old_capability_is_given_up_where_the_new_ones_are_held() -> None:
    wanted = needs(kernel=KERNEL, attach="multi")

    assert used_by_loader(wanted, EVERYTHING) == {"CAP_BPF", "CAP_PERFMON"}
    assert used_by_supervisor(Stage.STARTING, wanted, EVERYTHING) == {
        "CAP_BPF", "CAP_PERFMON", "CAP_CHOWN", *STEADY,
    }  # fmt: skip


def test_a_raised_paranoia_wants_the_old_capability_until_tracepoints_are_attached() -> None:
    wanted = needs(kernel=KERNEL, attach="multi", paranoid=3)

    assert "CAP_SYS_ADMIN" in used_by_supervisor(Stage.ATTACHING, wanted, EVERYTHING)
    assert "CAP_SYS_ADMIN" not in used_by_supervisor(Stage.RUNNING, wanted, EVERYTHING)
    assert "CAP_SYS_ADMIN" not in used_by_loader(wanted, EVERYTHING)
    assert needs(kernel=KERNEL, attach="multi", paranoid=2) == needs(kernel=KERNEL, attach="multi")


def test_the_supervisor_gives_up_step_by_step() -> None:
    wanted = needs(kernel=KERNEL, attach="multi")

    assert used_by_supervisor(Stage.ATTACHING, wanted, EVERYTHING) == {"CAP_PERFMON", *STEADY}
    assert used_by_supervisor(Stage.RUNNING, wanted, EVERYTHING) == STEADY


def test_what_sudo_brings_is_used_at_the_start_and_never_missed() -> None:
    extra = mask(["CAP_DAC_OVERRIDE", "CAP_NET_BIND_SERVICE"])
    wanted = needs(kernel=KERNEL, attach="multi")
    recording = needs(kernel=KERNEL, attach="multi", recording=True)

    assert not {name for need in missing(wanted, 0) for name in need.capabilities} & {
        "CAP_DAC_OVERRIDE",
        "CAP_NET_BIND_SERVICE",
    }
    assert used_by_supervisor(Stage.STARTING, wanted, extra) == {"CAP_DAC_OVERRIDE", "CAP_NET_BIND_SERVICE"}
    assert used_by_supervisor(Stage.ATTACHING, wanted, extra) == set()
    assert used_by_supervisor(Stage.ATTACHING, recording, extra) == {"CAP_DAC_OVERRIDE"}
    assert used_by_supervisor(Stage.RUNNING, recording, extra) == set()


def test_perf_events_take_the_old_capability_for_good() -> None:
    wanted = needs(kernel=KERNEL, attach="perf")

    assert "CAP_SYS_ADMIN" in lacking(wanted, "CAP_PERFMON")
    assert "CAP_SYS_ADMIN" in used_by_supervisor(Stage.RUNNING, wanted, EVERYTHING)
    assert "CAP_SYS_ADMIN" not in lacking(needs(kernel=(6, 1), attach="perf"), "CAP_PERFMON")


def test_old_kernels_want_more() -> None:
    assert "CAP_SYS_RESOURCE" in lacking(needs(kernel=(5, 10), attach="perf"))
    assert "CAP_SYS_RESOURCE" not in lacking(needs(kernel=(5, 11), attach="perf"))
    for kernel, kept in (((5, 18), True), ((5, 19), False)):
        steady = used_by_supervisor(Stage.RUNNING, needs(kernel=kernel, attach="perf"), EVERYTHING)
        assert ("CAP_BPF" in steady) is kept


def test_what_tracefs_takes() -> None:
    absent = needs(kernel=KERNEL, attach="multi", tracefs=Tracefs.ABSENT)
    closed = needs(kernel=KERNEL, attach="multi", tracefs=Tracefs.CLOSED)

    assert "CAP_SYS_ADMIN" in lacking(absent, "CAP_BPF", "CAP_PERFMON")
    assert "CAP_SYS_ADMIN" in used_by_supervisor(Stage.STARTING, absent, EVERYTHING)
    assert "CAP_SYS_ADMIN" not in used_by_supervisor(Stage.ATTACHING, absent, EVERYTHING)
    assert "CAP_DAC_READ_SEARCH" in lacking(closed)


def test_the_mask_is_read_from_a_tasks_status(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_bytes(b"Name:\t\xff\xfe\nCapPrm:\t00000000ffffffff\nCapEff:\t0000018000000000\n")

    assert effective_capabilities(status) == 3 << 39


def test_a_status_that_does_not_tell_is_an_error(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\n")

    with pytest.raises(ValueError, match="CapEff"):
        effective_capabilities(status)
