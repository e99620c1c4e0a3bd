# SPDX-License-Identifier: Apache-2.0
"""The whole chain for end-to-end tests: real servers, a real collector, the installed agent."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess, running_agent
from tests.support.collector import Collector, running_collector
from tests.support.nginx import Nginx, running_nginx
from tests.support.otlp_sink import OtlpSink, running_sink
from tests.support.pki import Pki
from tests.support.tls_servers import TlsServer, running_cpython_server


@pytest.fixture(autouse=True, scope="session")
def _as_root() -> None:
    """Loading BPF programs takes root; a run without it shows as skipped, not as passed."""
    if os.geteuid() != 0:
        pytest.skip("end-to-end tests load BPF programs: run them as root")


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A real collector for the tests of a module."""
    with running_collector(tmp_path_factory.mktemp("collector")) as collector:
        yield collector


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    """An OTLP receiver that keeps raw bytes."""
    with running_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[AgentProcess]:
    """A ready agent that exports to the module's collector and stores in a directory."""
    directory = tmp_path_factory.mktemp("agent")
    with running_agent(directory, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}) as agent:
        yield agent


@pytest.fixture(scope="module")
def cpython_server(pki: Pki) -> Iterator[TlsServer]:
    """The echoing server on CPython's ssl module, with threads."""
    with running_cpython_server(pki) as server:
        yield server


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, pki: Pki, cpython_server: TlsServer) -> Iterator[Nginx]:
    """A real nginx; ``/upstream/`` leads to the CPython server over TLS."""
    with running_nginx(
        Path(tmp_path_factory.mktemp("web")) / "nginx", pki, upstream=cpython_server.url
    ) as nginx:
        yield nginx
