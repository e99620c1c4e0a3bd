# SPDX-License-Identifier: Apache-2.0
"""What the agent itself costs: CPU per exchange and memory, whole chain to a local collector."""

import time
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import AgentProcess, running_agent
from tests.support.collector import running_collector
from tests.support.figures import Figures, assert_holds
from tests.support.loadgen import start_load
from tests.support.nginx import Nginx

pytestmark = pytest.mark.bench

WARM_UP_SECONDS = 2.0
MEMORY_LIMIT_MB = 120.0


@pytest.mark.parametrize("rate", [1000, 4000])
@pytest.mark.parametrize(
    ("objects", "what", "limit", "goal"),
    [("none:", "metadata only", 60, 30), ("", "payloads to a directory", 110, 80)],
)
def test_agent_cpu_per_exchange(
    rate: int,
    objects: str,
    what: str,
    limit: float,
    goal: float,
    tmp_path: Path,
    nginx: Nginx,
    figures: Figures,
    load_seconds: float,
) -> None:
    nginx.add_sized(1024)
    with running_collector(tmp_path / "collector") as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            **DEFAULT_CADENCE,
            **only(nginx),
            **({"OTEL_QTAP_OBJECTS_URL": objects} if objects else {}),
        }
        with running_agent(tmp_path / "agent", settings) as agent:
            seconds = WARM_UP_SECONDS + load_seconds
            load = start_load(nginx.port, tmp_path / "sent", rate=rate, seconds=seconds + 1)
            time.sleep(WARM_UP_SECONDS)
            began, before = time.time_ns(), CpuTimes.of(agent)
            most = 0
            while load.process.poll() is None and time.time_ns() - began < load_seconds * 1e9:
                time.sleep(0.5)
                most = max(most, agent.proportional_set_bytes())
            ended, after = time.time_ns(), CpuTimes.of(agent)
            load.finish()
            exchanges = sum(began <= at < ended for at in load.ids().values())
            agent.stop()
    assert exchanges > 0.9 * rate * (ended - began) / 1e9, "the load was not held"

    name = f"agent CPU per exchange, {what}, {rate:,}/s"
    total = (after.total - before.total) / exchanges * 1e6
    chain = (after.chain - before.chain) / exchanges * 1e6
    pipeline = (after.pipeline - before.pipeline) / exchanges * 1e6
    figures.report(f"{name}: data chain (thread)", chain, "us")
    figures.report(f"{name}: exporters (threads)", pipeline - chain, "us")
    figures.report(f"{name}: supervisor", total - pipeline, "us")
    assert_holds(
        figures.report(name, total, "us", at_most=limit, goal=goal, note=f"goal {goal:g}"),
        figures.report(f"agent memory (PSS), {what}, {rate:,}/s", most / 1e6, "MB", at_most=MEMORY_LIMIT_MB),
    )


def only(nginx: Nginx) -> dict[str, str]:
    """Settings to capture nothing else, so that what others do on this machine is not in the figures."""
    (worker,) = procfs.descendants(nginx.pid)
    return {"OTEL_QTAP_CAPTURE_INCLUDE": f"pid={worker}"}


def test_agent_cpu_without_traffic(
    tmp_path: Path, nginx: Nginx, figures: Figures, load_seconds: float
) -> None:
    with running_collector(tmp_path / "collector") as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            **DEFAULT_CADENCE,
            **only(nginx),
        }
        with running_agent(tmp_path / "agent", settings) as agent:
            time.sleep(WARM_UP_SECONDS)
            before = agent.cpu_seconds()
            time.sleep(load_seconds)
            used = agent.cpu_seconds() - before
    figures.report("agent CPU without traffic", 100 * used / load_seconds, "%", note="of one core")


DEFAULT_CADENCE = {
    "OTEL_BSP_SCHEDULE_DELAY": "5000",
    "OTEL_BLRP_SCHEDULE_DELAY": "1000",
    "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    "OTEL_QTAP_OBJECTS_SEGMENT_SECONDS": "5",
}
"""The defaults of specification and agent, in place of the tests' short ones."""


class CpuTimes:
    """User and system seconds of the agent: of all processes, of the pipeline, of its data chain."""

    def __init__(self, total: float, pipeline: float, chain: float) -> None:
        self.total, self.pipeline, self.chain = total, pipeline, chain

    @classmethod
    def of(cls, agent: AgentProcess) -> "CpuTimes":
        """Read them now."""
        pipeline = agent.pipeline_pid()
        return cls(
            agent.cpu_seconds(), procfs.cpu_seconds(pipeline), procfs.main_thread_cpu_seconds(pipeline)
        )
