# SPDX-License-Identifier: Apache-2.0
"""A real collector accepts every configuration of ``collector-config/``, alone and as they are combined."""

import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.collector import running_collector
from tests.support.collector_configs import COMBINATIONS, CONFIGS, running_configured, validate
from tests.support.ports import free_port
from tests.support.waiting import eventually

SIGNALS = {
    "traces": """{"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "GET",
        "startTimeUnixNano": "1", "endTimeUnixNano": "2"}]}]}]}""",
    "logs": """{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"eventName": "qtap.payload.stored"}]}]}]}""",
    "metrics": """{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "a", "gauge": {"dataPoints": [{"asInt": "1"}]}}]}]}]}""",
}
"""One of each, in OTLP/JSON."""


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_collector_accepts(names: Sequence[str]) -> None:
    verdict = validate(*(CONFIGS / name for name in names))

    assert verdict.returncode == 0, verdict.stderr


def test_every_configuration_is_checked() -> None:
    assert {path.name for path in CONFIGS.glob("*.yaml")} == {
        name for names in COMBINATIONS for name in names
    }


def test_collector_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    misspelt = tmp_path / "misspelt.yaml"
    misspelt.write_text((CONFIGS / "gateway.yaml").read_text().replace("send_batch_size", "send_batch_sise"))

    verdict = validate(misspelt)

    assert verdict.returncode != 0
    assert "send_batch_sise" in verdict.stderr


def test_minimal_passes_every_signal_on(tmp_path: Path) -> None:
    port = free_port()
    with running_collector(tmp_path / "backend") as backend:
        environment = {
            "OTLP_HTTP_LISTEN": f"127.0.0.1:{port}",
            "OTLP_GRPC_LISTEN": f"127.0.0.1:{free_port()}",
            "BACKEND_ENDPOINT": backend.grpc_endpoint.removeprefix("http://"),
        }
        with running_configured(tmp_path / "minimal", ["minimal.yaml"], listen=port, env=environment):
            for signal, content in SIGNALS.items():
                post = urllib.request.Request(
                    f"http://127.0.0.1:{port}/v1/{signal}",
                    data=content.encode(),
                    headers={"content-type": "application/json"},
                )
                with urllib.request.urlopen(post, timeout=10) as answer:
                    assert answer.status == 200
            eventually(lambda: backend.telemetry().spans, "a span arrives")
            eventually(lambda: backend.telemetry().logs, "a log record arrives")
            eventually(lambda: backend.telemetry().points, "a metric arrives")
