# SPDX-License-Identifier: Apache-2.0
"""Two hundred containers: how soon all of them are captured, and what each costs the agent."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import AgentProcess, running_agent
from tests.support.collector import running_collector
from tests.support.figures import Figures, assert_holds
from tests.support.kernel_objects import probed_files
from tests.support.namespaces import Container, ContainerHost, container_host
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.waiting import eventually

pytestmark = pytest.mark.bench

CONTAINERS = 200
IMAGES = 20
QUIET_SECONDS = 5.0


@pytest.fixture
def host(tmp_path: Path, pki: Pki, nginx: Nginx) -> Iterator[ContainerHost]:
    nginx.add_sized(16)
    with container_host(tmp_path / "layers", pki, nginx.port) as host:
        yield host


def probed(agent: AgentProcess) -> int:
    """How many library files of containers the agent is attached to."""
    return sum(path.startswith("/opt/") for path in probed_files(agent.pid))


def pss(agent: AgentProcess) -> tuple[float, float]:
    """Memory of supervisor and pipeline in KiB."""
    pids = (agent.pid, agent.pipeline_pid())
    supervisor, pipeline = (procfs.proportional_set_bytes(pid) / 1024 for pid in pids)
    return supervisor, pipeline


def start_all(host: ContainerHost, images: int) -> list[Container]:
    made = [host.image(f"image-{number}") for number in range(images)]
    return [container for image in made for container in host.start_many(image, CONTAINERS // images)]


@pytest.mark.parametrize("images", [IMAGES, CONTAINERS])
def test_containers_that_run_already(
    images: int, tmp_path: Path, host: ContainerHost, figures: Figures
) -> None:
    settings = {f"OTEL_{name}_EXPORTER": "none" for name in ("TRACES", "LOGS", "METRICS")}
    with running_agent(tmp_path / "agent", settings) as agent:  # what the bare start costs, caches filled
        alone, bare = agent.seconds_to_ready, procfs.precise_cpu_seconds(agent.pid)
        agent.stop()
    start_all(host, images)
    with running_agent(tmp_path / "agent", settings) as agent:
        assert probed(agent) == images
        ready, busy = agent.seconds_to_ready, procfs.precise_cpu_seconds(agent.pid) - bare
        gone = agent.stop()
    name = f"{CONTAINERS} containers of {images} images"
    note = f"{alone:.2f} s without them"
    assert_holds(
        figures.report(f"{name}: start to all attached", ready, "s", at_most=2.0, note=note),
        figures.report(f"{name}: the supervisor's work for them at its start", busy, "s", at_most=1.0),
        figures.report(f"{name}: SIGTERM to exit", gone, "s", at_most=10.0),
    )


def test_containers_that_start(tmp_path: Path, host: ContainerHost, nginx: Nginx, figures: Figures) -> None:
    with running_collector(tmp_path / "collector") as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}
        with running_agent(tmp_path / "agent", settings) as agent:
            fresh = host.image("fresh")
            delays = []
            for _ in range(5):
                container = host.start(fresh)
                container.wait_connected()
                began = time.monotonic()
                eventually(lambda: probed(agent) == 1, "the image's library is probed", pause=0.001)
                delays.append(time.monotonic() - began)
                container.kill()
            before = pss(agent)
            containers = start_all(host, IMAGES)
            began = time.monotonic()
            eventually(lambda: probed(agent) == IMAGES + 1, "all images are probed", pause=0.001)
            late = time.monotonic() - began
            for number, container in enumerate(containers):
                container.get(f"/sized/16/{number}")

            def told() -> int:
                spans = collector.telemetry().spans
                return len([s for s in spans if s.kind == "client" and s.port == nginx.port]) == CONTAINERS

            eventually(told, "all exchanges are told", seconds=60, pause=0.2)
            after = pss(agent)
            busy = procfs.precise_cpu_seconds(agent.pid)
            time.sleep(QUIET_SECONDS)
            busy = (procfs.precise_cpu_seconds(agent.pid) - busy) / QUIET_SECONDS
            agent.stop()
    growth = [(late - early) / CONTAINERS for early, late in zip(before, after, strict=True)]
    assert_holds(
        figures.report("a new image's first container: connected to attached", delays[0], "s", at_most=2.0),
        figures.report(
            f"{CONTAINERS} containers started: last connected to all attached", late, "s", at_most=2.0
        ),
        figures.report("supervisor's memory per container", growth[0], "KiB", at_most=16),
        figures.report("pipeline's memory per container", growth[1], "KiB", at_most=64),
        figures.report("supervisor at rest with all of them", 100 * busy, "%", at_most=2.0),
    )
