# SPDX-License-Identifier: Apache-2.0
"""Many conversations at once: none is mixed with another, none is missing."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.agent import AgentProcess, running_agent
from tests.support.clients import python_program
from tests.support.collector import Collector
from tests.support.exchanges import assert_bodies_are_their_own, assert_one_span_for_each
from tests.support.otlp_records import Span
from tests.support.pki import Pki
from tests.support.tls_servers import TlsServer, running_cpython_server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[AgentProcess]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
        "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
    }
    with running_agent(tmp_path_factory.mktemp("agent"), settings) as agent:
        yield agent


def run_client(name: str, server: TlsServer, pki: Pki, *options: str) -> str:
    command = python_program(name, str(server.port), str(pki.ca), *options)
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def spans_of_both_ends(collector: Collector, server: TlsServer, keys: list[str]) -> list[Span]:
    spans = collector.wait_for_port(server.port, 2 * len(keys), seconds=30)
    for kind in ("client", "server"):
        assert_one_span_for_each([span for span in spans if span.kind == kind], keys)
    return spans


def test_fifty_parallel_connections_of_one_process(
    agent: AgentProcess, collector: Collector, pki: Pki
) -> None:
    with running_cpython_server(pki) as server:
        run_client("parallel_client.py", server, pki, "--connections=50", "--requests=10")
        keys = [f"c{connection}-{request}" for connection in range(50) for request in range(10)]
        assert_bodies_are_their_own(spans_of_both_ends(collector, server, keys))


def test_two_thousand_short_connections_with_reused_descriptors(
    agent: AgentProcess, collector: Collector, pki: Pki
) -> None:
    with running_cpython_server(pki) as server:
        descriptors = int(run_client("short_connections.py", server, pki, "--connections=2000"))
        assert descriptors < 10, "descriptors were not reused, so this tested nothing"
        keys = [f"s{number}" for number in range(2000)]
        assert_bodies_are_their_own(spans_of_both_ends(collector, server, keys))


def test_server_that_forks_after_the_handshake(agent: AgentProcess, collector: Collector, pki: Pki) -> None:
    with running_cpython_server(pki, fork=True) as server:
        run_client("parallel_client.py", server, pki, "--connections=20", "--requests=5", "--prefix=f")
        keys = [f"f{connection}-{request}" for connection in range(20) for request in range(5)]
        spans = spans_of_both_ends(collector, server, keys)
        assert_bodies_are_their_own(spans)
        assert all(span.attributes["network.peer.address"] == "127.0.0.1" for span in spans)
        children = {s.attributes["process.pid"] for s in spans if s.kind == "server"}
        assert server.pid not in children
        assert len(children) == 20
