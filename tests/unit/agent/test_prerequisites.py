# SPDX-License-Identifier: Apache-2.0
import platform

import pytest

from otel_qtap.agent import prerequisites
from otel_qtap.agent.capabilities import Need, Stage
from otel_qtap.agent.prerequisites import needs_here, require
from otel_qtap.errors import PrivilegeError
from otel_qtap.settings import load_settings

LACKING = Need(("CAP_PERFMON", "CAP_SYS_ADMIN"), Stage.STARTING, True, True, "loads programs")


def test_this_machine_will_do_with_all_capabilities() -> None:
    require(())
    require((LACKING._replace(required=False),))


def test_what_is_required_and_lacking_is_named_with_its_purpose() -> None:
    with pytest.raises(
        PrivilegeError, match="lacks capabilities here: CAP_PERFMON or CAP_SYS_ADMIN, which loads"
    ):
        require((LACKING,))


def test_another_machine_or_too_old_a_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "kernel_release", lambda: (5, 7))
    with pytest.raises(PrivilegeError, match="too old"):
        require(())
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(PrivilegeError, match="aarch64"):
        require(())


def test_a_pid_namespace_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "is_the_hosts", lambda: False)
    with pytest.raises(PrivilegeError, match="PID namespace of its own"):
        require(())


def test_the_needs_are_those_of_the_way_of_attaching() -> None:
    names = {name for need in needs_here(load_settings({}), recording=False) for name in need.capabilities}
    assert {"CAP_BPF", "CAP_PERFMON"} <= names
