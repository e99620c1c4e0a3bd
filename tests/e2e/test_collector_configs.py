# SPDX-License-Identifier: Apache-2.0
"""The shipped collector configurations at work: agent and SDK -> node agent -> gateway -> trace view.

A service that traces itself calls one that does not, both observed. Before sampling, each exchange is
counted once, on either side; what is kept afterwards are whole traces.
"""

import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.clients import python_program
from tests.support.collector import Collector, running_collector
from tests.support.collector_configs import running_configured
from tests.support.otlp_records import Span
from tests.support.pki import Pki
from tests.support.ports import free_port
from tests.support.tls_servers import running_cpython_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

FINE, FAILED = 9, 3
EXCHANGES = FINE + FAILED

WHOLE = [
    ("client", "otel_qtap.http"),  # kept, although not counted
    ("client", "traced_client"),
    ("server", "otel_qtap.http"),
]
"""Kinds and scopes of the spans of one exchange."""

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
class Chain:
    """Two trace views behind a gateway behind a node's collector, and the services that were observed."""

    tempo: Collector
    jaeger: Collector
    logs: tuple[Path, Path]
    caller: str
    callee: str

    def spans(self, view: Collector) -> list[Span]:
        """What a view has of the two services."""
        services = (self.caller, self.callee)
        return [span for span in view.telemetry().spans if span.resource.get("service.name") in services]

    def kept(self) -> dict[str, list[Span]]:
        """Traces in the first view, by id."""
        traces: dict[str, list[Span]] = {}
        for span in self.spans(self.tempo):
            traces.setdefault(span.trace_id, []).append(span)
        return traces

    def is_complete(self) -> bool:
        """Whether all traces that were kept are there and whole. What counts was counted seconds before."""
        traces = self.kept().values()
        failed = [spans for spans in traces if any(span.status == "error" for span in spans)]
        return len(failed) == FAILED and all(len(spans) == len(WHOLE) for spans in traces)

    def calls(self, service: str, kind: str) -> float:
        """Exchanges that the span metrics count now."""
        latest = {
            (point.resource.get("service.name"), str(point.attributes)): point.value
            for point in self.tempo.telemetry().points
            if point.name == "traces.span.metrics.calls"
            and point.attributes.get("service.name") == service
            and point.attributes.get("span.kind") == kind
        }
        return sum(latest.values())

    def edges(self) -> dict[tuple[str, str], float]:
        """Exchanges that the service graph counts now, by caller and callee, of edges with one of ours."""
        latest = {
            str(point.attributes): (point.attributes["client"], point.attributes["server"], point.value)
            for point in self.tempo.telemetry().points
            if point.name == "traces_service_graph_request_total"
            and {self.caller, self.callee} & {point.attributes["client"], point.attributes["server"]}
        }
        edges: dict[tuple[str, str], float] = {}
        for client, server, count in latest.values():
            edges[client, server] = edges.get((client, server), 0) + count
        return edges


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


def call(url: str, pki: Pki, service: str, endpoint: str) -> None:
    """All exchanges, by a service that traces itself."""
    paths = ["/hello"] * FINE + ["/status/404"] * FAILED
    environment = {"OTEL_SERVICE_NAME": service, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    command = python_program("traced_client.py", url, str(pki.ca), *paths)
    subprocess.run(command, check=True, env={**os.environ, **environment}, timeout=60)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Chain]:
    directory = tmp_path_factory.mktemp("chain")
    caller, callee = (f"{name}-{secrets.token_hex(4)}" for name in ("checkout", "shop"))
    with (
        running_collector(directory / "tempo") as tempo,
        running_collector(directory / "jaeger") as jaeger,
        running_gateway(directory / "gateway", tempo, jaeger, caller) as gateway_port,
        running_node_agent(directory / "node", gateway_port) as endpoint,
        running_cpython_server(pki, environment={"OTEL_SERVICE_NAME": callee}) as server,
        running_agent(
            directory / "agent",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_QTAP_TRACE_MODE": "child"},
        ) as agent,
    ):
        call(server.url, pki, caller, endpoint)
        agent.stop()
        logs = (directory / "gateway" / "collector.log", directory / "node" / "collector.log")
        chain = Chain(tempo, jaeger, logs, caller, callee)
        eventually(chain.is_complete, "failed exchanges reach the trace view", seconds=30)
        yield chain


def test_each_exchange_is_counted_once_on_either_side(chain: Chain) -> None:
    assert chain.calls(chain.caller, "SPAN_KIND_CLIENT") == EXCHANGES
    assert chain.calls(chain.callee, "SPAN_KIND_SERVER") == EXCHANGES


def test_service_graph_has_one_edge_that_counts_each_exchange_once(chain: Chain) -> None:
    assert chain.edges() == {(chain.caller, chain.callee): EXCHANGES}


def test_sampling_keeps_whole_traces_and_all_that_failed(chain: Chain) -> None:
    for spans in chain.kept().values():
        assert sorted((span.kind, span.scope.name) for span in spans) == WHOLE
        root = next(span for span in spans if span.scope.name == "traced_client")
        assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}
    assert len(chain.kept()) < EXCHANGES, "of the others one in ten is kept, not all"


def test_references_and_links_reach_every_trace_view(chain: Chain) -> None:
    for view in (chain.tempo, chain.jaeger):
        eventually(lambda v=view: chain.spans(v), "spans arrive", seconds=20)
        observed = [span for span in chain.spans(view) if span.scope.name == "otel_qtap.http"]
        for span in observed:
            assert span.body_reference("response").startswith("file://")
            assert span.attributes["qtap.payload.uri"] in {
                link.attributes.get("qtap.payload.uri") for link in span.links
            }


def test_collectors_have_nothing_to_complain_of(chain: Chain) -> None:
    for log in chain.logs:
        assert log.read_text() == ""
