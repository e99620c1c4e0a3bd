# SPDX-License-Identifier: Apache-2.0
"""The process that parses hostile bytes has no privilege, and when it dies capture goes on."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import running_agent
from tests.support.collector import Collector
from tests.support.exchanges import key_of
from tests.support.loadgen import start_load
from tests.support.nginx import Nginx
from tests.support.otlp_sink import OtlpSink
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

CONNECTIONS = 16
CAPTURING_AGAIN_WITHIN_NS = 1_000_000_000


def test_pipeline_has_no_privilege_at_all(tmp_path: Path, sink: OtlpSink) -> None:
    with running_agent(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}) as agent:
        held = procfs.privileges(agent.pipeline_pid())
    assert 0 not in held.user_ids
    assert 0 not in held.group_ids
    assert 0 not in held.supplementary_groups
    assert held.effective_capabilities == 0
    assert held.permitted_capabilities == 0
    assert held.inheritable_capabilities == 0
    assert held.ambient_capabilities == 0
    assert held.no_new_privileges


def test_capture_goes_on_when_the_pipeline_is_killed_under_load(
    tmp_path: Path, collector: Collector, nginx: Nginx
) -> None:
    nginx.add_sized(1024)
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}
    with running_agent(tmp_path / "agent", settings) as agent:
        first = agent.pipeline_pid()
        load = start_load(
            nginx.port, tmp_path / "sent", rate=200, seconds=6, run="kill", connections=CONNECTIONS
        )
        time.sleep(2)
        os.kill(first, signal.SIGKILL)
        killed = time.time_ns()
        load.finish()
        assert agent.process.poll() is None
        second = agent.pipeline_pid()
        assert second != first
        assert procfs.privileges(second).effective_capabilities == 0
        eventually(agent.is_ready, "the agent is ready again")
        assert agent.metric("qtap_pipeline_restarts_total") == 1
        agent.stop()

    spans = [s for s in collector.telemetry().on_port(nginx.port, "server") if key_of(s).startswith("kill-")]
    told = {key_of(span) for span in spans}
    sent = load.ids()
    before = [key for key, at in sent.items() if at < killed - CAPTURING_AGAIN_WITHIN_NS]
    after = [key for key, at in sent.items() if at > killed + CAPTURING_AGAIN_WITHIN_NS]
    assert len(before) > 100
    assert len(after) > 400
    assert [key for key in after if key not in told] == []
    assert told & set(before)
    lost = [
        event.attributes["qtap.capture.lost.events"]
        for event in collector.telemetry().events("qtap.capture.lost")
        if event.attributes["qtap.capture.lost.reason"] == "pipeline_restarted"
    ]
    assert len(lost) == 1
    # What was finished and not delivered is counted; besides, a connection may have been within an exchange.
    assert len(sent.keys() - told) <= lost[0] + CONNECTIONS
