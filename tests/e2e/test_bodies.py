# SPDX-License-Identifier: Apache-2.0
"""Bodies of every size arrive whole, in both directions and seen from both ends; a cut is stated."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess, running_agent
from tests.support.clients import request
from tests.support.collector import Collector, running_collector
from tests.support.otlp_records import Span
from tests.support.payloads import sha256, text_of_entropy
from tests.support.pki import Pki
from tests.support.stored import wait_for_reference
from tests.support.tls_servers import TlsServer

pytestmark = pytest.mark.e2e

KIB, MIB = 1 << 10, 1 << 20
SIZES = [0, 1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, MIB, 20 * MIB]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[AgentProcess]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
        "OTEL_QTAP_CAPTURE_MAX_BODY_BYTES": str(24 * MIB),
    }
    with running_agent(tmp_path_factory.mktemp("agent"), settings) as agent:
        yield agent


def exchange_spans(collector: Collector, server: TlsServer, mark: str) -> list[Span]:
    def chosen(span: Span) -> bool:
        url = span.attributes.get("url.full") or span.attributes.get("url.path", "")
        return span.port == server.port and url.endswith(mark)

    spans = collector.wait_for_spans(2, chosen, seconds=30)
    assert sorted(span.kind for span in spans) == ["client", "server"]
    return spans


@pytest.mark.parametrize("client", ["curl", "http.client"])
@pytest.mark.parametrize("size", SIZES)
def test_body_is_exact_in_both_directions_from_both_ends(
    client: str, size: int, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    body = text_of_entropy(size, seed=client)
    mark = f"/echo/{client}-{size}"
    assert request(client, "POST", cpython_server.url + mark, pki.ca, body=body).body == body

    for span in exchange_spans(collector, cpython_server, mark):
        assert span.attributes["qtap.capture.complete"] is True, span.attributes
        for part in ("request", "response"):
            assert span.attributes[f"http.{part}.body.size"] == size
            stored = wait_for_reference(span.body_reference(part)).body
            assert len(stored) == size
            assert sha256(stored) == sha256(body)


def test_body_over_the_limit_is_cut_there_and_the_span_says_so(
    tmp_path: Path, cpython_server: TlsServer, pki: Pki
) -> None:
    limit, size = 10_000, 300_000
    body = text_of_entropy(size)
    with running_collector(tmp_path / "collector") as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_QTAP_CAPTURE_MAX_BODY_BYTES": str(limit),
        }
        with running_agent(tmp_path / "agent", settings):
            for mark in ("/echo/limited", "/echo/after"):
                request("http.client", "POST", cpython_server.url + mark, pki.ca, body=body)
            limited = exchange_spans(collector, cpython_server, "/echo/limited")
            # The next exchange of the same process is found again behind what was cut.
            exchange_spans(collector, cpython_server, "/echo/after")
            for span in limited:
                assert span.attributes["qtap.capture.complete"] is False
                assert "truncated" in span.attributes["qtap.capture.incomplete_reason"]
                for part in ("request", "response"):
                    assert span.attributes[f"http.{part}.body.size"] == size
                    message = wait_for_reference(span.body_reference(part))
                    assert message.body == body[:limit]
                    assert message.fields["warc-truncated"] == "length"
