# SPDX-License-Identifier: Apache-2.0
"""The Compose file's own services in real containers: what the agent stores, the viewer shows.

The other services' images are not to be had here; a real collector and S3 server stand in their places.
"""

import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.clients import request
from tests.support.collector import running_collector
from tests.support.compose import compose_model, example_environment
from tests.support.containers import CHECKOUT, Container, agent_image, running_container
from tests.support.nginx import running_nginx
from tests.support.pki import Pki
from tests.support.ports import free_port
from tests.support.s3server import S3Server, running_s3_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.containers

Service = Mapping[str, Any]


@pytest.fixture(scope="module")
def services() -> Mapping[str, Service]:
    found: Mapping[str, Service] = compose_model(CHECKOUT / "docker" / "compose.yaml", example_environment())[
        "services"
    ]
    return found


@contextmanager
def running_service(service: Service, settings: Mapping[str, str]) -> Iterator[Container]:
    """The service on the host's network; ``settings`` say where the others are, instead of their names."""
    options = [f"--cap-drop={name}" for name in service["cap_drop"]]
    options += [f"--cap-add={name}" for name in service.get("cap_add", ())]
    options += [f"--security-opt={option}" for option in service.get("security_opt", ())]
    options += [f"--{key}={service[key]}" for key in ("pid", "user") if key in service]
    options += ["--read-only", "--read-only-tmpfs=false"] if service.get("read_only") else []
    options += [f"--env={name}={value}" for name, value in {**service["environment"], **settings}.items()]
    for volume in service.get("volumes", ()):
        source = f"{volume['source']}:" if volume["type"] == "bind" else ""
        options.append(f"--volume={source}{volume['target']}{':ro' if volume.get('read_only') else ''}")
    with running_container(agent_image(), *(service["command"] or ()), options=options) as container:
        yield container


def at(store: S3Server) -> dict[str, str]:
    return {name: value for name, value in store.environment().items() if name.startswith("AWS_")}


def test_what_the_agent_stores_the_viewer_shows(
    services: Mapping[str, Service], tmp_path: Path, pki: Pki
) -> None:
    agent, viewer = services["agent"], services["viewer"]
    health, port = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with (
        running_collector(tmp_path / "collector") as collector,
        running_nginx(tmp_path / "nginx", pki) as nginx,
        running_s3_server(tmp_path / "s3") as store,
    ):
        store.client().create_bucket(Bucket="payloads")
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_QTAP_HEALTH_ADDRESS": health,
        }
        with running_service(agent, {**at(store), **settings}) as container:
            eventually(
                lambda: is_answered(f"http://{health}/readyz", container), "the agent is ready", seconds=30
            )
            request("curl", "GET", f"{nginx.url}/hello", pki.ca)
            span = collector.wait_for_port(nginx.port, 1)[0]
            container.stop(seconds=30)
            assert container.exit_code == 0, container.logs()

        reference = span.body_reference("response")
        assert reference.startswith("s3://payloads/")
        with running_service(viewer, {**at(store), "OTEL_QTAP_SERVE_ADDRESS": port}) as container:
            eventually(
                lambda: is_answered(f"http://{port}/healthz", container), "the viewer answers", seconds=30
            )
            page = urllib.request.Request(
                f"http://{port}/payload?uri={quote(reference, safe='')}",
                headers={"Authorization": f"Bearer {viewer['environment']['OTEL_QTAP_SERVE_TOKEN']}"},
            )
            with urllib.request.urlopen(page, timeout=20) as answer:
                assert "hello from nginx" in answer.read().decode()


def is_answered(url: str, container: Container) -> bool:
    assert container.is_running, container.logs()
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
