# SPDX-License-Identifier: Apache-2.0
"""/readyz tells the truth about a real collector and a real S3 server that go and come back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.agent import AgentProcess
from tests.support.clients import request
from tests.support.collector import running_collector
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.ports import free_port
from tests.support.s3server import S3Server, running_s3_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

BUCKET = "qtap-payloads"


def condition(agent: AgentProcess, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(agent.health("/readyz")[1])["conditions"][name]
    return told


def bodies(agent: AgentProcess, event_name: str) -> list[str]:
    """What the log said of an event."""
    lines = [json.loads(line) for line in agent.stderr.splitlines()]
    return [line["body"] for line in lines if line.get("event_name") == event_name]


def assert_recent(since: str) -> None:
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(since) < timedelta(minutes=2)


@contextmanager
def backends(directory: Path, otlp: int, s3: int) -> Iterator[S3Server]:
    """A collector and an S3 server, each time on the same ports."""
    with (
        running_collector(directory / "collector", http_port=otlp),
        running_s3_server(directory, port=s3) as server,
    ):
        yield server


def test_a_collector_and_a_bucket_that_go_and_come_back(tmp_path: Path, nginx: Nginx, pki: Pki) -> None:
    otlp, s3_port = free_port(), free_port()
    agent = AgentProcess(
        tmp_path / "agent",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_QTAP_OBJECTS_URL": f"s3://{BUCKET}",
        },
    )
    try:
        with backends(tmp_path, otlp, s3_port) as s3:
            s3.client().create_bucket(Bucket=BUCKET)
            agent.environment |= s3.environment()
            agent.start()
            agent.wait_ready()
        request("curl", "GET", f"{nginx.url}/hello", pki.ca)
        for name in ("collector.traces", "collector.metrics", "store"):
            eventually(lambda name=name: not condition(agent, name)["ready"], f"no {name}", seconds=30)
        assert not agent.is_ready()
        assert condition(agent, "collector.traces")["reason"] == "connection_error"
        assert f"s3://{BUCKET}" in condition(agent, "store")["reason"]
        assert_recent(condition(agent, "store")["since"])
        assert condition(agent, "probes")["ready"], "one thing that is not well blames no other"
        assert agent.health("/livez")[0] == 200

        with backends(tmp_path, otlp, s3_port):
            eventually(agent.is_ready, "all is well again", seconds=60, pause=0.2)
            assert "reason" not in condition(agent, "store")
            assert_recent(condition(agent, "collector.traces")["since"])
            agent.stop()
    finally:
        agent.kill()

    for name, text in (("collector", "OTLP traces:"), ("collector", "OTLP metrics:"), ("store", "")):
        lost, back = [body for body in bodies(agent, f"otel_qtap.{name}.delivery") if text in body]
        assert "(connection_error)" in lost or "segments are kept on the local disk and tried again" in lost
        assert "again (after " in back


def test_metrics_pass_a_real_parser_and_tell_of_the_agent_itself(agent: AgentProcess) -> None:
    page = agent.health("/metrics")[1]
    families = {family.name: family for family in text_string_to_metric_families(page)}
    reloads = families["qtap_config_reloads"].samples

    assert families["qtap_capture_malformed"].samples[0].value == 0
    outcomes = {sample.labels["qtap_config_reload_outcome"] for sample in reloads}
    assert outcomes == {"applied", "unchanged", "needs_restart", "refused", "rolled_back"}
    assert families["qtap_pipeline_restarts"].samples[0].value == 0
    assert families["process_memory_usage_bytes"].unit == "bytes"


def test_a_health_address_that_is_taken_is_told_with_what_to_do(agent: AgentProcess, tmp_path: Path) -> None:
    second = AgentProcess(tmp_path / "second", {"OTEL_QTAP_HEALTH_ADDRESS": f"127.0.0.1:{agent.health_port}"})
    second.start()
    try:
        assert second.process.wait(20) == 2
    finally:
        second.kill()
    last = json.loads(second.stderr.splitlines()[-1])
    assert last["severity_text"] == "FATAL"
    assert "Address already in use" in last["body"]
    assert "another otel-qtap" in last["body"]
