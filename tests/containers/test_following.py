# SPDX-License-Identifier: Apache-2.0
"""Real containers, followed through start, stop, restart and upgrade, and through restarts of the agent."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess, running_agent
from tests.support.collector import Collector, running_collector
from tests.support.containers import Container, build_image, engine, running_container
from tests.support.exchanges import assert_one_span_for_each
from tests.support.kernel_objects import probed_files
from tests.support.namespaces import ContainerHost, container_host
from tests.support.nginx import Nginx, running_nginx
from tests.support.pki import Pki
from tests.support.waiting import eventually

pytestmark = pytest.mark.containers

TAG = "localhost/otel-qtap-tests/tls-client"
SETTINGS = {"OTEL_QTAP_CAPTURE_RESCAN_SECONDS": "1"}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("collector")) as collector:
        yield collector


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Nginx]:
    with running_nginx(tmp_path_factory.mktemp("web") / "nginx", pki) as nginx:
        nginx.add_sized(16)
        yield nginx


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, pki: Pki, nginx: Nginx) -> Iterator[ContainerHost]:
    with container_host(tmp_path_factory.mktemp("images") / "layers", pki, nginx.port) as host:
        yield host


def image(host: ContainerHost, name: str) -> str:
    """An image of the engine with a TLS client in ``/opt/<name>``."""
    tag = f"{TAG}:{name}"
    return build_image(tag, "FROM scratch\nCOPY . /\n", context=host.image(name))


def options(name: str) -> list[str]:
    # Its first process waits for a line that nobody writes.
    return ["--interactive", f"--env=LD_LIBRARY_PATH=/opt/{name}"]


def command(host: ContainerHost, name: str) -> list[str]:
    return [f"/opt/{name}/tls_client", str(host.port), f"/opt/{name}/ca.pem"]


def ask(host: ContainerHost, container: Container, name: str, key: str) -> None:
    """One exchange, by a process of its own in the container."""
    said = engine("exec", "--interactive", container.id, *command(host, name), stdin=f"/sized/16/{key}\n")
    assert said == "connected\n200\n"


def wait_probed(agent: AgentProcess, name: str, files: int) -> None:
    def probes() -> int:
        return sum(f"/opt/{name}/" in path for path in probed_files(agent.pid))

    eventually(lambda: probes() == files, f"{files} files of {name} are probed", seconds=20)


def assert_told(collector: Collector, keys: list[str]) -> None:
    prefix = keys[0].partition("-")[0]
    spans = collector.wait_for_spans(
        len(keys), lambda s: s.kind == "client" and f"/{prefix}-" in s.attributes["url.full"], seconds=20
    )
    assert_one_span_for_each(spans, keys)


def test_a_container_is_followed_through_its_life(
    tmp_path: Path, collector: Collector, host: ContainerHost
) -> None:
    tag = image(host, "life")
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint, **SETTINGS}
    keys = [f"life-{number}" for number in range(4)]
    with running_agent(tmp_path / "agent", settings) as agent:
        with running_container(tag, *command(host, "life"), options=options("life")) as container:
            for key, change in zip(keys, (None, container.restart, None, None), strict=True):
                if change:
                    change(seconds=0)
                wait_probed(agent, "life", 1)
                ask(host, container, "life", key)
                if key == keys[1]:
                    container.stop(seconds=0)
                    wait_probed(agent, "life", 0)
                    container.start()
        wait_probed(agent, "life", 0)
        agent.stop()
    assert_told(collector, keys)


def test_containers_of_one_image_and_of_its_next_release(
    tmp_path: Path, collector: Collector, host: ContainerHost
) -> None:
    old, new = image(host, "old"), image(host, "new")
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint, **SETTINGS}
    with (
        running_container(old, *command(host, "old"), options=options("old")) as first,
        running_container(old, *command(host, "old"), options=options("old")) as second,
    ):
        with running_agent(tmp_path / "agent", settings) as agent:
            wait_probed(agent, "old", 1)
            ask(host, first, "old", "release-0")
            ask(host, second, "old", "release-1")
            with running_container(new, *command(host, "new"), options=options("new")) as third:
                wait_probed(agent, "new", 1)
                ask(host, third, "new", "release-2")
            wait_probed(agent, "new", 0)
            agent.stop()
        with running_agent(tmp_path / "agent", settings) as agent:
            wait_probed(agent, "old", 1)
            ask(host, first, "old", "release-3")
            agent.stop()
    assert_told(collector, [f"release-{number}" for number in range(4)])
