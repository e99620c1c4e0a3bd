# SPDX-License-Identifier: Apache-2.0
"""Connections over memory BIOs that were there before the agent get their addresses, by their ciphertext."""

import subprocess
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.clients import python_program
from tests.support.collector import Collector
from tests.support.keepalive import KeepaliveClient
from tests.support.otlp_records import Span
from tests.support.pki import Pki
from tests.support.tls_servers import TlsServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


def test_a_connection_of_asyncio_that_is_older_than_the_agent_gets_its_addresses(
    tmp_path: Path, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    command = python_program("asyncio_keepalive_client.py", str(cpython_server.port), str(pki.ca))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        client = KeepaliveClient(process)
        client.wait_connected()
        client.get("/sized/10/before")

        def one_more() -> list[Span]:
            client.get("/sized/10/after")
            return [
                span
                for span in collector.telemetry().spans
                if span.attributes.get("process.pid") == process.pid
                and "network.peer.port" in span.attributes
            ]

        with running_agent(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}) as agent:
            bound = eventually(one_more, "a span with addresses", seconds=20, pause=0.2)
            agent.stop()
        assert process.stdin
        process.stdin.close()

    assert all(span.attributes["network.peer.port"] == cpython_server.port for span in bound)
    assert all(span.attributes["qtap.peer.source"] == "ciphertext" for span in bound)
    assert all(span.kind == "client" for span in bound)
