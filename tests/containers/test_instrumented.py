# SPDX-License-Identifier: Apache-2.0
"""A container that is instrumented as the Kubernetes operator does it, and what else runs in there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.clients import PROGRAMS
from tests.support.collector import Collector, running_collector
from tests.support.containers import Container, build_image, running_container
from tests.support.instrumented_python import environment, site_packages
from tests.support.otlp_records import LogRecord, Span
from tests.support.pki import Pki
from tests.support.waiting import eventually

pytestmark = pytest.mark.containers

CONTAINERFILE = """\
FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends curl python3
"""
INJECTED = "/otel-auto-instrumentation-python"
FLASK, REQUESTS = "opentelemetry.instrumentation.flask", "opentelemetry.instrumentation.requests"


@pytest.fixture(scope="module")
def image() -> str:
    return build_image("localhost/otel-qtap-tests/python", CONTAINERFILE)


@contextmanager
def orders_container(image: str, collector: Collector, pki: Pki) -> Iterator[tuple[Container, str]]:
    """The orders service, and the URL at which it listens."""
    variables = environment("orders", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint})
    variables["PYTHONPATH"] = f"{INJECTED}/opentelemetry/instrumentation/auto_instrumentation:{INJECTED}"
    volumes = {
        site_packages(): INJECTED,
        PROGRAMS: "/programs",
        pki.ca: "/ca.pem",
        pki.server.certificate: "/cert.pem",
        pki.server.key: "/key.pem",
    }
    options = [f"--volume={source}:{target}:ro" for source, target in volumes.items()]
    options += [f"--env={name}={value}" for name, value in variables.items() if name != "PATH"]
    command = ("python3", "/programs/flask_service.py", "/cert.pem", "/key.pem")
    with running_container(image, *command, options=options) as container:
        port = eventually(lambda: container.logs().strip(), "the service listens", seconds=30)
        yield container, f"https://localhost:{port}/orders"


def of(collector: Collector, *services: str) -> tuple[list[Span], list[LogRecord]]:
    """Spans that are ends of calls, and events of captured exchanges."""
    telemetry = collector.telemetry()
    spans = [
        s for s in telemetry.spans if s.resource.get("service.name") in services and s.kind != "internal"
    ]
    events = telemetry.events("qtap.payload.captured")
    return spans, [event for event in events if event.resource.get("service.name") in services]


def test_what_the_operator_instruments_and_what_only_inherits_it(
    tmp_path: Path, image: str, pki: Pki
) -> None:
    with running_collector(tmp_path / "collector") as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}
        with (
            running_agent(tmp_path / "agent", settings) as agent,
            orders_container(image, collector, pki) as (container, url),
        ):
            call = f"echo tea | OTEL_SERVICE_NAME=shop python3 /programs/orders_client.py {url} /ca.pem"
            assert container.run("sh", "-c", call) == "aet\n"
            call = f"OTEL_SERVICE_NAME=script curl --silent --cacert /ca.pem --data milk {url}"
            assert container.run("sh", "-c", call) == "klim"
            eventually(
                lambda: len(of(collector, "shop", "orders")[0]) >= 3 and of(collector, "script")[0],
                "all spans arrive",
                seconds=20,
            )
            agent.stop()

    spans, events = of(collector, "shop", "orders")
    assert sorted((span.kind, span.scope.name) for span in spans) == [
        ("client", REQUESTS),
        ("server", FLASK),
        ("server", FLASK),
    ]
    assert sorted(event.attributes["qtap.capture.side"] for event in events) == ["client", "server", "server"]
    assert {event.attributes["qtap.instrumentation.evidence"] for event in events} == {"python_path"}
    assert {event.resource["container.id"] for event in events} == {container.id}

    # It has all of the container's variables, and nothing that would read them.
    spans, events = of(collector, "script")
    assert [(span.kind, span.scope.name) for span in spans] == [("client", "otel_qtap.http")]
    assert events == []
