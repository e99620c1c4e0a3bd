# SPDX-License-Identifier: Apache-2.0
import platform
import socket
from pathlib import Path

import pytest

from otel_qtap.agent.host import host_identity


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A procfs whose first process is in another UTS namespace, with another root."""
    for process in ("1", "self"):
        (tmp_path / process / "ns").mkdir(parents=True)
        (tmp_path / process / "ns" / "uts").touch()
    etc = tmp_path / "1" / "root" / "etc"
    etc.mkdir(parents=True)
    (etc / "hostname").write_text("node-7\n")
    (etc / "machine-id").write_text("0123abcd\n")
    return tmp_path


def test_this_machine() -> None:
    host = host_identity(environment={})
    assert (host.name, host.os_type) == (socket.gethostname(), "linux")
    assert host.arch == {"x86_64": "amd64"}.get(platform.machine(), host.arch)


def test_in_a_container_the_machine_is_that_of_the_first_process(proc: Path) -> None:
    host = host_identity(str(proc), {})
    assert (host.name, host.id) == ("node-7", "0123abcd")


def test_where_nobody_may_look_into_init_its_first_kernel_thread_tells(proc: Path) -> None:
    (proc / "1").rename(proc / "2")
    host = host_identity(str(proc), {})
    assert (host.name, host.id) == ("node-7", "0123abcd")


def test_where_the_machines_files_are_hidden_the_nodes_name_counts(proc: Path) -> None:
    (proc / "1" / "root" / "etc" / "hostname").unlink()
    assert host_identity(str(proc), {"NODE_NAME": "node-8"}).name == "node-8"
    assert host_identity(str(proc), {}).name == socket.gethostname()
