# SPDX-License-Identifier: Apache-2.0
"""The shipped collector configurations at work: agents and SDKs -> node agent -> gateway -> trace views.

Before sampling, each exchange is counted once on either side and once in the service graph, whoever tells
of it; what is kept afterwards are whole traces.
"""

import os
import secrets
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import instrumented_python
from tests.support.agent import running_agent
from tests.support.clients import python_program
from tests.support.collector import Collector, running_collector
from tests.support.collector_configs import running_configured
from tests.support.otlp_records import MetricPoint, Span
from tests.support.pki import Pki
from tests.support.ports import free_port
from tests.support.tls_servers import running_announced, running_cpython_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

FINE, FAILED = 9, 3
EXCHANGES = FINE + FAILED
WHOLE = [
    ("client", "otel_qtap.http"),  # kept, although not counted
    ("client", "traced_client"),
    ("server", "otel_qtap.http"),
]
"""Kinds and scopes of the spans of one exchange that is told twice."""

OVERLAY: Mapping[str, object] = {
    "connectors": {
        "span_metrics": {"metrics_flush_interval": "500ms"},
        "service_graph": {"metrics_flush_interval": "500ms"},
    },
    "processors": {"tail_sampling": {"decision_wait": "3s"}},
    "service": {
        "pipelines": {
            "traces/kept": {"exporters": ["otlp_grpc/tempo", "otlp_grpc/jaeger"]},
            "logs": {"exporters": ["otlp_grpc/tempo"]},
            "metrics": {"exporters": ["otlp_grpc/tempo"]},
        }
    },
}
"""Faster than in production, and without ClickHouse."""


@dataclass(frozen=True, slots=True)
class Services:
    """One service that calls another, by their names."""

    caller: str
    callee: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Two trace views behind a gateway behind a node's collector, which takes OTLP at ``endpoint``."""

    tempo: Collector
    jaeger: Collector
    endpoint: str
    logs: tuple[Path, Path]

    def traces(self, view: Collector, services: Services) -> dict[str, list[Span]]:
        """What a view has of these services: spans by trace id."""
        traces: dict[str, list[Span]] = {}
        for span in view.telemetry().spans:
            if span.resource.get("service.name") in (services.caller, services.callee):
                traces.setdefault(span.trace_id, []).append(span)
        return traces

    def calls(self, services: Services) -> dict[tuple[str, str], float]:
        """What the span metrics count now, by service and kind."""
        return self._latest(
            "traces.span.metrics.calls", ("service.name", "span.kind"), {services.caller, services.callee}
        )

    def edges(self, services: Services) -> dict[tuple[str, str], float]:
        """What the service graph counts now, by the two ends, where one of them is one of these services."""
        return self._latest(
            "traces_service_graph_request_total", ("client", "server"), {services.caller, services.callee}
        )

    def wait_for_counts(self) -> None:
        """Wait until whatever the gateway has seen by now is in the metrics."""
        flushes = self._flushes()
        eventually(lambda: self._flushes() >= flushes + 2, "metrics were flushed twice", seconds=20)

    def _flushes(self) -> int:
        """Points of the series that has most: each flush adds one to a series."""
        points = [p for p in self.tempo.telemetry().points if p.name == "traces.span.metrics.calls"]
        return max(Counter(str(sorted(point.attributes.items())) for point in points).values(), default=0)

    def _latest(self, name: str, by: tuple[str, str], services: set[str]) -> dict[tuple[str, str], float]:
        latest: dict[str, MetricPoint] = {}
        for point in self.tempo.telemetry().points:
            if point.name == name and services & {str(point.attributes[key]) for key in by}:
                latest[str(sorted(point.attributes.items()))] = point
        sums: dict[tuple[str, str], float] = {}
        for point in latest.values():
            ends = (str(point.attributes[by[0]]), str(point.attributes[by[1]]))
            sums[ends] = sums.get(ends, 0) + point.value
        return sums


def named(caller: str, callee: str) -> Services:
    mark = secrets.token_hex(4)
    return Services(f"{caller}-{mark}", f"{callee}-{mark}")


@contextmanager
def running_gateway(directory: Path, tempo: Collector, jaeger: Collector, self_traced: str) -> Iterator[int]:
    """gateway.yaml and sampling.yaml; yields the port for OTLP over gRPC."""
    port = free_port()
    environment = {
        **listening(grpc=port, http=free_port()),
        "TEMPO_ENDPOINT": tempo.grpc_endpoint.removeprefix("http://"),
        "JAEGER_ENDPOINT": jaeger.grpc_endpoint.removeprefix("http://"),
        "SELF_TRACED_SERVICES": self_traced,
    }
    names = ("gateway.yaml", "sampling.yaml")
    with running_configured(directory, names, listen=port, overlay=OVERLAY, env=environment):
        yield port


@contextmanager
def running_node_agent(directory: Path, gateway_port: int) -> Iterator[str]:
    """node-agent.yaml before the gateway; yields the endpoint for OTLP over HTTP."""
    port = free_port()
    environment = {
        **listening(grpc=free_port(), http=port),
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(gateway_port),
    }
    with running_configured(directory, ("node-agent.yaml",), listen=port, env=environment):
        yield f"http://127.0.0.1:{port}"


def listening(*, grpc: int, http: int) -> dict[str, str]:
    return {
        "OTLP_GRPC_LISTEN": f"127.0.0.1:{grpc}",
        "OTLP_HTTP_LISTEN": f"127.0.0.1:{http}",
        "HEALTH_LISTEN": f"127.0.0.1:{free_port()}",
    }


@pytest.fixture(scope="module")
def told_twice() -> Services:
    """Of which the agent is told to make spans although the caller makes its own."""
    return named("checkout", "shop")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, told_twice: Services) -> Iterator[Chain]:
    directory = tmp_path_factory.mktemp("chain")
    with (
        running_collector(directory / "tempo") as tempo,
        running_collector(directory / "jaeger") as jaeger,
        running_gateway(directory / "gateway", tempo, jaeger, told_twice.caller) as gateway_port,
        running_node_agent(directory / "node", gateway_port) as endpoint,
    ):
        logs = (directory / "gateway" / "collector.log", directory / "node" / "collector.log")
        yield Chain(tempo, jaeger, endpoint, logs)


@pytest.fixture(scope="module")
def exchanges_told_twice(
    chain: Chain, told_twice: Services, pki: Pki, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All of them over, exported, counted, and what is kept of them in the trace view."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": chain.endpoint, "OTEL_QTAP_TRACE_MODE": "child"}
    with (
        running_cpython_server(pki, environment={"OTEL_SERVICE_NAME": told_twice.callee}) as server,
        running_agent(tmp_path_factory.mktemp("agent"), settings) as agent,
    ):
        paths = ["/hello"] * FINE + ["/status/404"] * FAILED
        sdk = {"OTEL_SERVICE_NAME": told_twice.caller, "OTEL_EXPORTER_OTLP_ENDPOINT": chain.endpoint}
        command = python_program("traced_client.py", server.url, str(pki.ca), *paths)
        subprocess.run(command, check=True, env={**os.environ, **sdk}, timeout=60)
        agent.stop()

    def kept() -> bool:
        traces = chain.traces(chain.tempo, told_twice).values()
        failed = [spans for spans in traces if any(span.status == "error" for span in spans)]
        return len(failed) == FAILED and all(len(spans) == len(WHOLE) for spans in traces)

    eventually(kept, "failed exchanges reach the trace view", seconds=30)
    chain.wait_for_counts()


@pytest.mark.usefixtures("exchanges_told_twice")
def test_exchange_that_is_told_twice_is_counted_once(chain: Chain, told_twice: Services) -> None:
    assert chain.calls(told_twice) == {
        (told_twice.caller, "SPAN_KIND_CLIENT"): EXCHANGES,
        (told_twice.callee, "SPAN_KIND_SERVER"): EXCHANGES,
    }
    assert chain.edges(told_twice) == {(told_twice.caller, told_twice.callee): EXCHANGES}


@pytest.mark.usefixtures("exchanges_told_twice")
def test_sampling_keeps_whole_traces_and_all_that_failed(chain: Chain, told_twice: Services) -> None:
    kept = chain.traces(chain.tempo, told_twice)

    for spans in kept.values():
        assert sorted((span.kind, span.scope.name) for span in spans) == WHOLE
        root = next(span for span in spans if span.scope.name == "traced_client")
        assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}
    assert len(kept) < EXCHANGES, "of the others one in ten is kept, not all"


@pytest.mark.usefixtures("exchanges_told_twice")
def test_references_and_links_reach_every_trace_view(chain: Chain, told_twice: Services) -> None:
    for view in (chain.tempo, chain.jaeger):
        eventually(lambda v=view: chain.traces(v, told_twice), "spans arrive", seconds=20)
        for spans in chain.traces(view, told_twice).values():
            for span in (span for span in spans if span.scope.name == "otel_qtap.http"):
                assert span.body_reference("response").startswith("file://")
                assert span.attributes["qtap.payload.uri"] in {
                    link.attributes.get("qtap.payload.uri") for link in span.links
                }


def test_instrumented_services_are_counted_once_without_being_named(
    chain: Chain, pki: Pki, tmp_path: Path
) -> None:
    """By its own choice the agent makes no second span of their exchanges, but tells of the payload."""
    services = named("basket", "orders")
    sdk = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": chain.endpoint,
        "REQUESTS_CA_BUNDLE": str(pki.ca),
    }
    flask = instrumented_python.command(
        "flask_service.py", str(pki.server.certificate), str(pki.server.key), instrumented=True
    )
    with (
        running_agent(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": chain.endpoint}) as agent,
        running_announced(flask, instrumented_python.environment(services.callee, sdk)) as server,
    ):
        client = instrumented_python.command(
            "orders_client.py", f"{server.url}/orders", str(pki.ca), instrumented=True
        )
        done = subprocess.run(
            client,
            input=b"an order\n" * EXCHANGES,
            capture_output=True,
            env=instrumented_python.environment(services.caller, sdk),
            timeout=60,
            check=True,
        )
        assert done.stdout.splitlines() == [b"an order"[::-1]] * EXCHANGES
        eventually(
            lambda: chain.calls(services).get((services.callee, "SPAN_KIND_SERVER")) == EXCHANGES,
            "the service's own spans are counted",
            seconds=20,
        )
        agent.stop()

    def told() -> int:
        events = chain.tempo.telemetry().events("qtap.payload.captured")
        names = (services.caller, services.callee)
        return len([event for event in events if event.resource["service.name"] in names])

    eventually(lambda: told() == 2 * EXCHANGES, "the payloads are told of", seconds=20)
    chain.wait_for_counts()
    assert chain.calls(services) == {
        (services.caller, "SPAN_KIND_CLIENT"): EXCHANGES,
        (services.callee, "SPAN_KIND_SERVER"): EXCHANGES,
    }
    assert chain.edges(services) == {(services.caller, services.callee): EXCHANGES}


def test_collectors_call_no_name_old_and_drop_nothing(chain: Chain) -> None:
    for log in chain.logs:
        said = log.read_text().lower()
        assert "deprecated" not in said
        assert "dropping" not in said
