# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.agent.pid_namespace import is_the_hosts

ROOT = Path(__file__).parents[3]


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes PID namespaces")
def test_the_agent_is_refused_in_another_one() -> None:
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-m", "otel_qtap", "run"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 3
    assert "--pid=host" in done.stderr
