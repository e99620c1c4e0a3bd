# SPDX-License-Identifier: Apache-2.0
"""Who made a request is told by the resource of its span, when that was a container's process."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.collector import Collector, running_collector
from tests.support.containers import (
    PRIVILEGES,
    Container,
    agent_image,
    build_image,
    engine,
    running_container,
)
from tests.support.exchanges import path_of
from tests.support.network import own_network
from tests.support.otlp_records import Json, Span
from tests.support.pki import Pki
from tests.support.runtime_socket import running_engine_socket
from tests.support.tls_servers import TlsServer, running_cpython_server

pytestmark = pytest.mark.containers

IMAGE = "localhost/otel-qtap-tests/client:1.4"
CONTAINERFILE = """\
FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends curl
LABEL team=shop
"""
LIBRARIES = ("/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3")
"""The machine's own, shown in the container under the same names: probed before its first process starts."""
OF_THE_AGENT = {
    "OTEL_SERVICE_NAME": "the-agent",
    "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=of-the-agent,service.version=99",
}


@pytest.fixture(scope="module")
def image() -> str:
    return build_image(IMAGE, CONTAINERFILE)


@pytest.fixture(scope="module")
def server(pki: Pki) -> Iterator[TlsServer]:
    with running_cpython_server(pki) as server:
        yield server


@contextmanager
def asking_container(
    image: str, name: str, server: TlsServer, pki: Pki, *options: str
) -> Iterator[Container]:
    """A container that asks for ``/<its name>`` again and again, each time by a new curl."""
    curl = f"curl --silent --cacert /ca.pem {server.url}/{name}"
    loop = f"while :; do {curl}; sleep 0.2; done"
    volumes = (f"--volume={pki.ca}:/ca.pem:ro", *(f"--volume={path}:{path}:ro" for path in LIBRARIES))
    with running_container(image, "sh", "-c", loop, options=(*volumes, *options), name=name) as container:
        yield container


def resource_of(collector: Collector, name: str, attribute: str) -> Json:
    """Of a client span of that container, one that has the attribute."""

    def chosen(span: Span) -> bool:
        return span.kind == "client" and path_of(span) == f"/{name}" and attribute in span.resource

    return collector.wait_for_spans(1, chosen, seconds=30)[-1].resource


def test_a_containers_curl_has_the_containers_identity(
    tmp_path: Path, image: str, server: TlsServer, pki: Pki
) -> None:
    with (
        running_collector(tmp_path / "collector") as collector,
        running_engine_socket(tmp_path / "engine.sock") as engine_socket,
    ):
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_QTAP_WORKLOADS_SOCKETS": str(engine_socket),
            "OTEL_QTAP_WORKLOADS_CONTAINER_LABELS": "team",
            **OF_THE_AGENT,
        }
        with (
            running_agent(tmp_path / "agent", settings),
            asking_container(image, "qtap-identity", server, pki) as container,
        ):
            resource = resource_of(collector, "qtap-identity", "container.name")
            image_id = engine("image", "inspect", "--format={{.Id}}", image).strip()

    assert resource["container.id"] == container.id
    assert resource["container.name"] == "qtap-identity"
    assert resource["container.runtime.name"] == "podman"
    assert resource["container.image.name"] == "localhost/otel-qtap-tests/client"
    assert resource["container.image.tags"] == ["1.4"]
    assert resource["container.image.id"].removeprefix("sha256:") == image_id
    assert resource["container.label.team"] == "shop"
    assert resource["service.name"] == "qtap-identity"
    assert resource["service.version"] == "1.4"
    assert resource["service.instance.id"] == container.id
    assert "deployment.environment.name" not in resource


def test_a_runtime_that_hangs_costs_no_more_than_what_it_would_have_told(
    tmp_path: Path, image: str, server: TlsServer, pki: Pki
) -> None:
    hung = tmp_path / "hung.sock"
    with running_collector(tmp_path / "collector") as collector, socket.socket(socket.AF_UNIX) as runtime:
        runtime.bind(str(hung))
        runtime.listen()  # and nobody accepts
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_QTAP_WORKLOADS_SOCKETS": str(hung),
            **OF_THE_AGENT,
        }
        with (
            running_agent(tmp_path / "agent", settings) as agent,
            asking_container(
                image, "qtap-declared", server, pki,
                "--env=OTEL_RESOURCE_ATTRIBUTES=service.name=web,service.namespace=shop,region=eu",
            ) as container,
        ):  # fmt: skip
            resource = resource_of(collector, "qtap-declared", "service.namespace")
            agent.wait_for_log(f"the container engine at {hung} tells nothing of containers")

    assert resource["container.id"] == container.id
    assert (resource["service.name"], resource["service.namespace"], resource["region"]) == (
        "web",
        "shop",
        "eu",
    )
    assert "service.version" not in resource
    assert "container.name" not in resource


def test_an_agent_in_a_container_tells_of_others_not_of_itself(tmp_path: Path, image: str, pki: Pki) -> None:
    with (
        own_network(),
        running_collector(tmp_path / "collector", http_port=4318) as collector,
        running_cpython_server(pki) as server,
        running_engine_socket(tmp_path / "engine.sock") as engine_socket,
    ):
        variables = {"OTEL_QTAP_OBJECTS_URL": "none:", **OF_THE_AGENT}
        options = (
            *PRIVILEGES,
            "--hostname=the-agent",
            f"--volume={engine_socket}:/run/podman/podman.sock",
            *(f"--env={name}={value}" for name, value in variables.items()),
        )
        with (
            running_container(agent_image(), options=options) as agent,
            asking_container(image, "qtap-observed", server, pki) as container,
        ):
            resource = resource_of(collector, "qtap-observed", "container.name")

    assert (resource["container.id"], resource["container.name"]) == (container.id, "qtap-observed")
    assert resource["service.name"] == "qtap-observed"
    assert resource["host.name"] == socket.gethostname()
    told = str(resource)
    assert not [own for own in ("the-agent", "of-the-agent", agent.id) if own in told]
