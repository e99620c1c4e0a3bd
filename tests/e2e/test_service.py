# SPDX-License-Identifier: Apache-2.0
"""The agent as a service: what a service manager hears of it, and that it works as confined as its unit."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import AgentProcess
from tests.support.clients import request
from tests.support.collector import Collector
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.systemd_unit import confinement
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


class Manager:
    """The end of sd_notify(3) where systemd would listen."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def hears(self, line: str) -> bool:
        """Whether it was said since this was last found."""
        try:
            while True:
                self.heard += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            pass
        if line not in self.heard:
            return False
        del self.heard[: self.heard.index(line) + 1]
        return True

    def wait_for(self, line: str) -> None:
        eventually(lambda: self.hears(line), f"the service manager hears {line}", seconds=30)


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    return Manager(tmp_path / "notify")


@pytest.fixture
def agent(tmp_path: Path, manager: Manager, collector: Collector) -> Iterator[AgentProcess]:
    directory = tmp_path / "agent"
    directory.mkdir()
    agent = AgentProcess(
        directory,
        {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "1000000",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
        },
        wrapper=confinement(directory),
    )
    yield agent
    agent.kill()


def test_a_service_manager_hears_of_each_state_and_the_confined_agent_captures(
    agent: AgentProcess, manager: Manager, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    agent.start()
    manager.wait_for("READY=1")
    eventually(agent.is_ready, "ready, as it said", seconds=2)
    manager.wait_for("WATCHDOG=1")
    assert (Path("/proc") / str(agent.pid) / "status").read_text().count("NoNewPrivs:\t1") == 1
    assert procfs.privileges(agent.pipeline_pid()).permitted_capabilities == 0

    request("curl", "GET", f"{nginx.url}/hello", pki.ca)
    collector.wait_for_port(nginx.port, 2, seconds=30)

    agent.process.send_signal(signal.SIGHUP)
    manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1")
    eventually(agent.is_ready, "ready again", seconds=5)
    agent.process.send_signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    assert agent.process.wait(10) == 0


def test_a_watchdog_hears_nothing_of_a_supervisor_that_hangs(agent: AgentProcess, manager: Manager) -> None:
    agent.start()
    manager.wait_for("READY=1")
    agent.process.send_signal(signal.SIGSTOP)
    while manager.hears("WATCHDOG=1"):
        pass
    with pytest.raises(AssertionError):
        eventually(lambda: manager.hears("WATCHDOG=1"), "silence", seconds=2)
    agent.process.send_signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1")
    assert agent.health("/livez")[0] == 200


def test_what_is_said_besides_the_log_is_a_line_of_it_too(agent: AgentProcess) -> None:
    """All of standard error is JSON, whoever writes there."""
    agent.start()
    agent.wait_ready()
    with Path(f"/proc/{agent.pid}/fd/2").open("w") as error:
        error.write("a stray \x1b[31mline\n")
    agent.wait_for_log("stray")
    assert agent.process.poll() is None
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(10) == 0
    bodies = [json.loads(line)["body"] for line in agent.stderr.splitlines()]

    assert "standard error: a stray \\x1b[31mline" in bodies
