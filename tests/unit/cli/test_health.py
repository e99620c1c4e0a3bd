# SPDX-License-Identifier: Apache-2.0
"""The command against a real health server."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from otel_qtap.agent.health import HealthServer
from otel_qtap.cli import health
from otel_qtap.cli.main import main
from otel_qtap.conditions import State
from otel_qtap.listening import listen
from tests.support.pki import Pki
from tests.support.ports import free_port
from tests.support.viewer import running_viewer


class Agent:
    """What the command meets: a health address, and whether the agent is ready."""

    def __init__(self) -> None:
        listener = listen("OTEL_QTAP_HEALTH_ADDRESS", "127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self.conditions = {"probes": State(True, 0.0, ""), "collector.traces": State(True, 0.0, "")}
        HealthServer(
            listener,
            ready=lambda: self.conditions,
            alive=lambda: {"chain": State(True, 0.0, "")},
            metrics=lambda _accept: ("text/plain", ""),
            coverage=lambda: {"not_captured": []},
        ).start()


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    agent = Agent()
    monkeypatch.setenv("OTEL_QTAP_HEALTH_ADDRESS", f"127.0.0.1:{agent.port}")
    return agent


def test_ready_agent_is_healthy(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health"]) == 0
    assert json.loads(capsys.readouterr().out)["ready"] is True


def test_agent_that_is_not_ready_is_unhealthy_and_says_why(
    agent: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.conditions["collector.traces"] = State(False, 0.0, "connection_error")
    assert main(["health"]) == 1
    said = json.loads(capsys.readouterr().out)["conditions"]["collector.traces"]
    assert (said["ready"], said["reason"]) == (False, "connection_error")


def test_life_is_asked_for_alone(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    agent.conditions["collector.traces"] = State(False, 0.0, "connection_error")
    assert main(["health", "--live"]) == 0
    assert json.loads(capsys.readouterr().out)["alive"] is True


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "[::ffff:127.0.0.1]"])
def test_agent_that_listens_everywhere_is_asked_on_the_loopback(
    agent: Agent, everywhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_QTAP_HEALTH_ADDRESS", f"{everywhere}:{agent.port}")
    assert main(["health"]) == 0


def test_silence_is_unhealthy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    monkeypatch.setenv("OTEL_QTAP_HEALTH_ADDRESS", f"127.0.0.1:{port}")
    assert main(["health"]) == 1
    assert f"nobody answers at 127.0.0.1:{port}: Connection refused" in capsys.readouterr().err


def test_port_that_nobody_can_know_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_QTAP_HEALTH_ADDRESS", "127.0.0.1:0")
    assert main(["health"]) == 2
    assert "port 0" in capsys.readouterr().err


@pytest.mark.parametrize("tls", [False, True])
def test_the_viewer_is_asked_at_its_own_address(tls: bool, pki: Pki, tmp_path: Path, monkeypatch) -> None:
    settings = {"OTEL_QTAP_OBJECTS_URL": f"file://{tmp_path}", "OTEL_QTAP_SERVE_TOKEN": "0123456789abcdef"}
    if tls:
        settings["OTEL_QTAP_SERVE_TLS_CERTIFICATE"] = str(pki.server.certificate)
        settings["OTEL_QTAP_SERVE_TLS_KEY"] = str(pki.server.key)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with running_viewer(tmp_path / "viewer", settings) as viewer:
        monkeypatch.setenv("OTEL_QTAP_SERVE_ADDRESS", urlsplit(viewer.url).netloc)
        assert main(["health", "--viewer"]) == 0
    assert main(["health", "--viewer"]) == 1


def test_whoever_holds_the_address_gives_the_terminal_no_commands(
    agent: Agent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_ask", lambda *_: (200, "ready\n\x1b[2J\x9b31m\n"))
    assert main(["health"]) == 0
    assert capsys.readouterr().out == "ready\n\\x1b[2J\\x9b31m\n"
