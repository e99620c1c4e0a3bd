# SPDX-License-Identifier: Apache-2.0
"""Go programs, stripped, with the whole agent: both ends' spans, by what net/http says on TLS of its own."""

import subprocess
from collections import Counter

import pytest

from tests.support.agent import AgentProcess
from tests.support.collector import Collector
from tests.support.exchanges import path_of
from tests.support.go_programs import go_program
from tests.support.otlp_records import Span
from tests.support.pki import Pki

pytestmark = pytest.mark.e2e

CLIENTS, REQUESTS = 8, 10


@pytest.mark.parametrize("build", ["stripped", "no-section-headers"])
def test_every_exchange_is_told_by_both_ends(
    build: str, agent: AgentProcess, collector: Collector, pki: Pki
) -> None:
    program = go_program("1.26", build)
    with subprocess.Popen(
        [program, "http-server", pki.server.certificate, pki.server.key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        agent.wait_for_log(f"probing {program} (go 1.26.")
        client = subprocess.Popen(
            [program, "http-client", f"{port}", pki.ca, "1", f"{CLIENTS}", f"{REQUESTS}"]
        )
        assert client.wait(timeout=60) == 0
        server.communicate()

    spans = collector.wait_for_spans(2 * CLIENTS * REQUESTS, lambda span: span.port == port)
    wanted = {f"/client/{one}/request/{other}" for one in range(CLIENTS) for other in range(REQUESTS)}
    ends = {
        kind: {path_of(span): span for span in spans if span.kind == kind} for kind in ("client", "server")
    }
    assert Counter(span.kind for span in spans) == {"client": len(wanted), "server": len(wanted)}
    assert ends["client"].keys() == ends["server"].keys() == wanted
    for path in wanted:
        assert_both_tell_the_same(ends["client"][path], ends["server"][path])
    assert {span.attributes["process.pid"] for span in ends["client"].values()} == {client.pid}
    assert {span.attributes["process.pid"] for span in ends["server"].values()} == {server.pid}


def assert_both_tell_the_same(near: Span, far: Span) -> None:
    for span in (near, far):
        assert {
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "network.protocol.version": "1.1",
            "network.peer.address": "127.0.0.1",
            "qtap.peer.source": "descriptor",
            "qtap.capture.complete": True,
        }.items() <= span.attributes.items()
    for size in ("http.request.body.size", "http.response.body.size"):
        assert near.attributes[size] == far.attributes[size]
    assert near.attributes["network.peer.port"] == near.port
    # Both know the connection by the client's hello.
    assert far.trace_id == near.trace_id
    assert far.parent_span_id == near.span_id
