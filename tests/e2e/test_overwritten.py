# SPDX-License-Identifier: Apache-2.0
"""Probed files that are written to in place, as by cp: nobody may crash for it, and capture goes on."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.agent.file_marks import Content
from tests.support.agent import AgentProcess, running_agent
from tests.support.kernel_objects import map_items, probed_files
from tests.support.two_versions import TwoVersions
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

MAP = "import ctypes, sys; library = ctypes.CDLL(sys.argv[1]); print(flush=True); sys.stdin.readline()"
LIBSSL = "/usr/lib/x86_64-linux-gnu/libssl.so.3"


@pytest.fixture
def versions(tmp_path: Path) -> TwoVersions:
    return TwoVersions(tmp_path)


@pytest.fixture
def own_agent(tmp_path: Path, versions: TwoVersions) -> Iterator[AgentProcess]:
    """One that looks around once an hour, so that only what it is told makes it act."""
    settings = {
        **{f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "LOGS", "METRICS")},
        "OTEL_QTAP_CAPTURE_LIBRARIES": str(versions.path),
        "OTEL_QTAP_CAPTURE_RESCAN_SECONDS": "3600",
    }
    with running_agent(tmp_path / "agent", settings) as agent:
        yield agent


def wait_probed(agent: AgentProcess, path: Path, wanted: int = 1) -> None:
    eventually(lambda: probed_files(agent.pid).count(str(path)) == wanted, f"{path}: {wanted} times probed")


def kinds(agent: AgentProcess) -> dict[int, int]:
    """What the kernel side takes files for, by inode number."""
    known = map_items(agent.pid)["known_files"]
    return {int.from_bytes(key[:8], "little"): int.from_bytes(value[:4], "little") for key, value in known}


def test_a_program_that_is_overwritten_runs_and_is_probed_again_when_it_can_be(
    own_agent: AgentProcess, versions: TwoVersions
) -> None:
    wait_probed(own_agent, versions.path)
    assert versions.run() == 0
    versions.overwrite(2)
    # A child of the agent that was forked just now holds the probes until it has closed what is not its own.
    eventually(lambda: versions.run() == 0, "it is left, and runs")
    inode = versions.path.stat().st_ino
    with versions.running():
        eventually(lambda: kinds(own_agent).get(inode) == Content.OTHER, "it is known for what it is")

    versions.overwrite(1)
    with versions.running():
        wait_probed(own_agent, versions.path)
    assert versions.run() == 0


def test_a_library_in_use_that_is_written_to_is_probed_again(own_agent: AgentProcess, tmp_path: Path) -> None:
    library = Path(shutil.copy(LIBSSL, tmp_path / "libssl.so.3"))
    with subprocess.Popen(
        [sys.executable, "-c", MAP, library], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as user:
        assert user.stdout
        user.stdout.readline()
        wait_probed(own_agent, library)
        with library.open("ab") as file:
            file.write(b"\0")
        own_agent.wait_for_log("was written to in place")
        wait_probed(own_agent, library)
        user.communicate(b"\n")
    assert user.returncode == 0
