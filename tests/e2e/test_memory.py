# SPDX-License-Identifier: Apache-2.0
"""All processes of the agent together stay within their memory, under load, ring included."""

import time
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.collector import Collector
from tests.support.loadgen import start_load
from tests.support.nginx import Nginx

pytestmark = pytest.mark.e2e

LIMIT_BYTES = 120_000_000


def test_proportional_memory_under_load(tmp_path: Path, collector: Collector, nginx: Nginx) -> None:
    nginx.add_sized(16384)
    with running_agent(tmp_path / "agent", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}) as agent:
        load = start_load(nginx.port, tmp_path / "sent", path="/sized/16384", rate=500, seconds=6)
        most = 0
        while load.process.poll() is None:
            most = max(most, agent.proportional_set_bytes())
            time.sleep(0.3)
        load.finish()
        agent.stop()
    assert 10_000_000 < most <= LIMIT_BYTES
