# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.agent.doctor import Host
from otel_qtap.agent.doctor.host import NotConfiguredError


@pytest.mark.parametrize(
    ("release", "kernel"),
    [
        ("6.18.44-custom", (6, 18)),
        ("5.8", (5, 8)),
        ("6.1-rc3", (6, 1)),
        ("4.18.0-553.el8", (4, 18)),
        ("", (0, 0)),
        ("x.y", (0, 0)),
        ("6.", (0, 0)),
    ],
)
def test_kernel_version(release: str, kernel: tuple[int, int]) -> None:
    assert Host(configuration="", release=release).kernel == kernel


def test_refused_settings_cannot_be_used() -> None:
    with pytest.raises(NotConfiguredError):
        _ = Host(configuration="OTEL_X is wrong").settings
