# SPDX-License-Identifier: Apache-2.0
"""Processes and connections that were there before the agent are captured from their next exchange."""

import subprocess
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.clients import python_program
from tests.support.collector import Collector
from tests.support.exchanges import key_of
from tests.support.otlp_records import Span
from tests.support.pki import Pki
from tests.support.stored import wait_for_reference
from tests.support.tls_servers import TlsServer

pytestmark = pytest.mark.e2e


def test_connection_older_than_the_agent_is_captured_from_its_next_exchange(
    tmp_path: Path, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    command = python_program("keepalive_client.py", str(cpython_server.port), str(pki.ca))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        assert client.stdout is not None

        pids = {client.pid, cpython_server.pid}

        def is_ours(span: Span) -> bool:
            return span.attributes.get("process.pid") in pids and span.scope.name == "otel_qtap.http"

        def get(target: str) -> None:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(target + "\n")
            client.stdin.flush()
            assert client.stdout.readline() == "200\n"

        assert client.stdout.readline() == "connected\n"
        get("/hello/before")
        with running_agent(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}) as agent:
            get("/sized/5000/first")
            get("/sized/5000/second")
            spans = collector.wait_for_spans(4, is_ours)
            bodies = {len(wait_for_reference(span.body_reference("response")).body) for span in spans}
            agent.stop()
        client.stdin.close()

    told = [(span.kind, key_of(span)) for span in spans if span.attributes["qtap.capture.complete"]]
    assert sorted(told) == [("client", "first"), ("client", "second"), ("server", "second")]
    # The server was inside SSL_read when the probes came: that one call cannot be seen, and it is said.
    (first,) = [span for span in spans if not span.attributes["qtap.capture.complete"]]
    assert first.kind == "server"
    assert "request_not_seen" in first.attributes["qtap.capture.incomplete_reason"]
    assert bodies == {5000}
    assert all(span.attributes["network.peer.address"] == "127.0.0.1" for span in spans)
