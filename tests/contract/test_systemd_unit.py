# SPDX-License-Identifier: Apache-2.0
"""The unit, as systemd itself judges it."""

import subprocess
from pathlib import Path

import pytest

from otel_qtap.agent.capabilities import BITS
from tests.support.agent import COMMAND
from tests.support.systemd_unit import UNIT, values

WORST_EXPOSURE = 3.7
"""From 0 to 10. What the agent is for costs most of it: files and processes of the host, and the network."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the command of this checkout, for systemd looks whether it is there."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/otel-qtap/bin/otel-qtap", COMMAND))
    return path


def test_systemd_has_nothing_to_complain_about(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_it_is_exposed_no_more_than_it_was(unit: Path) -> None:
    threshold = f"--threshold={int(WORST_EXPOSURE * 10)}"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", threshold, unit],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_its_capabilities_are_those_that_were_measured() -> None:
    """Of those that the agent knows a use for, one is for older kernels; a comment in the unit says so."""
    older = {"CAP_SYS_RESOURCE"}
    never_asked_for = {"CAP_DAC_OVERRIDE", "CAP_NET_BIND_SERVICE"}

    assert set(" ".join(values("CapabilityBoundingSet")).split()) == BITS.keys() - older - never_asked_for
    assert all(name in UNIT.read_text() for name in older)
