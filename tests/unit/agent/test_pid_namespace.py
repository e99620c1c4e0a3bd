# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from otel_qtap.agent.pid_namespace import is_the_hosts


def test_the_hosts_namespace_has_the_number_of_the_first(tmp_path: Path) -> None:
    namespace = tmp_path / "self/ns/pid"
    namespace.parent.mkdir(parents=True)
    with pytest.raises(OSError, match="No such file"):
        is_the_hosts(tmp_path)
    namespace.symlink_to("pid:[4026531836]")
    assert is_the_hosts(tmp_path)
    namespace.unlink()
    namespace.symlink_to("pid:[4026532711]")
    assert not is_the_hosts(tmp_path)
