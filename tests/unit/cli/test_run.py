# SPDX-License-Identifier: Apache-2.0
"""What the command hands to the agent; the agent itself is tested end to end."""

import io
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent import supervisor
from otel_qtap.cli.main import main
from otel_qtap.settings import Settings


class Agent:
    """Takes the place of run_agent and keeps what it was called with."""

    settings: Settings
    record_to: Path | None

    def __call__(self, settings: Settings, record_to: Path | None, reread: Callable[[], Settings]) -> int:
        self.settings, self.record_to, self.reread = settings, record_to, reread
        logging.getLogger("otel_qtap.agent").info("running")
        return 0


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    agent = Agent()
    monkeypatch.setattr(supervisor, "run_agent", agent)
    monkeypatch.setenv("OTEL_QTAP_OBJECTS_URL", "memory:")
    return agent


def test_run_gives_the_environment_to_the_agent(agent: Agent) -> None:
    assert main(["run"]) == 0
    assert agent.settings.objects.url == "memory:"
    assert agent.record_to is None


def test_logging_is_set_up_before_the_agent_starts(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("OTEL_QTAP_LOG_FORMAT", "text")

    assert main(["run"]) == 0
    assert "otel_qtap.agent running" in stream.getvalue()


def test_a_wrong_setting_stops_before_the_agent(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_QTAP_OBJECTS_URL", "ftp://x")

    assert main(["run"]) == 2
    assert not hasattr(agent, "settings")
