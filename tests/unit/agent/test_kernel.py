# SPDX-License-Identifier: Apache-2.0
import platform
from pathlib import Path

import pytest

from otel_qtap.agent.kernel import attach_mode, kernel_release, perf_event_paranoid


def test_the_running_kernels_release_is_that_of_uname() -> None:
    major, minor = kernel_release()

    assert platform.release().startswith(f"{major}.{minor}")


@pytest.mark.parametrize(
    ("release", "numbers"),
    [
        ("6.1.0-25-amd64", (6, 1)),
        ("5.15.167.4-microsoft", (5, 15)),
        ("6.18-rc1", (6, 18)),
        ("odd", (0, 0)),
    ],
)
def test_releases_of_distributions(release: str, numbers: tuple[int, int]) -> None:
    assert kernel_release(release) == numbers


@pytest.mark.parametrize(
    ("wanted", "kernel", "mode"),
    [
        ("auto", (6, 6), "multi"),
        ("auto", (6, 5), "perf"),
        ("perf", (6, 6), "perf"),
        ("multi", (6, 5), "multi"),
    ],
)
def test_the_setting_stands_above_what_the_kernel_can(
    wanted: str, kernel: tuple[int, int], mode: str
) -> None:
    assert attach_mode(wanted, kernel) == mode


def test_paranoia_is_a_number_or_untold(tmp_path: Path) -> None:
    assert perf_event_paranoid(tmp_path) is None
    setting = tmp_path / "sys/kernel/perf_event_paranoid"
    setting.parent.mkdir(parents=True)
    setting.write_text("-1\n")
    assert perf_event_paranoid(tmp_path) == -1
