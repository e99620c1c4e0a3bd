# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from otel_qtap.agent.capabilities import effective_capabilities, missing_needs

BPF, PERFMON, SYS_ADMIN, SETUID, SETGID, SYS_RESOURCE = 1 << 39, 1 << 38, 1 << 21, 1 << 7, 1 << 6, 1 << 24


def lacking(held: int, kernel: tuple[int, int] = (6, 1)) -> set[str]:
    return {need.capabilities[0] for need in missing_needs(held, kernel) if need.required}


def test_without_any_everything_is_missing() -> None:
    assert lacking(0) == {"CAP_BPF", "CAP_PERFMON", "CAP_SETUID", "CAP_SETGID"}


def test_the_old_capability_stands_for_both_new_ones() -> None:
    assert lacking(SYS_ADMIN | SETUID | SETGID) == set()
    assert lacking(BPF | SETUID | SETGID) == {"CAP_PERFMON"}


def test_old_kernels_count_maps_as_locked_memory() -> None:
    enough = BPF | PERFMON | SETUID | SETGID

    assert lacking(enough, (5, 10)) == {"CAP_SYS_RESOURCE"}
    assert lacking(enough | SYS_RESOURCE, (5, 10)) == set()


def test_the_mask_is_read_from_a_tasks_status(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_bytes(b"Name:\t\xff\xfe\nCapPrm:\t00000000ffffffff\nCapEff:\t0000018000000000\n")

    assert effective_capabilities(status) == 3 << 39


def test_a_status_that_does_not_tell_is_an_error(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\n")

    with pytest.raises(ValueError, match="CapEff"):
        effective_capabilities(status)
