# SPDX-License-Identifier: Apache-2.0
"""A real collector takes what is exported, over every transport, and traces join as the wire said."""

import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.clients import request
from tests.support.collector import Collector, running_collector
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

PROTOCOLS = ["grpc", "http/protobuf", "http/json"]


def endpoint(collector: Collector, protocol: str) -> str:
    return collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint


def assert_all_signals_arrive(
    directory: Path, collector: Collector, nginx: Nginx, pki: Pki, settings: Mapping[str, str]
) -> None:
    marker = f"v={secrets.token_hex(4)}"
    keep = {"OTEL_QTAP_HTTP_QUERY_ALLOW": "v"}
    known = len(collector.telemetry().spans)
    with running_agent(directory, {**settings, **keep}) as agent:
        request("curl", "GET", f"{nginx.url}/hello?{marker}", pki.ca)
        spans = collector.wait_for_spans(
            2,
            lambda s: (
                s.port == nginx.port
                and marker in str(s.attributes.get("url.full", "") or s.attributes.get("url.query", ""))
            ),
        )
        eventually(lambda: collector.telemetry().points, "metrics arrived")
        eventually(lambda: collector.telemetry().events("qtap.payload.stored"), "log events arrived")
        agent.stop()
    assert {span.kind for span in spans} == {"client", "server"}
    assert known < len(collector.telemetry().spans)


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_collector_takes_every_signal(
    protocol: str, compression: str, tmp_path: Path, nginx: Nginx, pki: Pki
) -> None:
    with running_collector(tmp_path / "collector") as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint(collector, protocol),
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
        }
        assert_all_signals_arrive(tmp_path / "agent", collector, nginx, pki, settings)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_collector_that_asks_for_a_client_certificate(
    protocol: str, tmp_path: Path, nginx: Nginx, pki: Pki
) -> None:
    with running_collector(tmp_path / "collector", tls=pki, mutual=True) as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint(collector, protocol),
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(pki.ca),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(pki.client.certificate),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(pki.client.key),
        }
        assert_all_signals_arrive(tmp_path / "agent", collector, nginx, pki, settings)


def test_span_joins_the_trace_that_was_on_the_wire(
    tmp_path: Path, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    trace_id, parent_id = secrets.token_hex(16), secrets.token_hex(8)
    fields = [f"traceparent: 00-{trace_id}-{parent_id}-01", "tracestate: vendor=value"]
    with running_agent(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}):
        request("curl", "GET", f"{nginx.url}/hello", pki.ca, headers=fields)
        request("curl", "GET", f"{nginx.url}/missing", pki.ca)
        spans = collector.wait_for_port(nginx.port, 4)

    joined = {span.kind: span for span in spans if span.trace_id == trace_id}
    assert joined["client"].parent_span_id == parent_id
    assert joined["server"].parent_span_id == joined["client"].span_id
    assert all(span.trace_state == "vendor=value" for span in joined.values())
    own = {span.kind: span for span in spans if span.trace_id != trace_id}
    assert own["client"].parent_span_id == ""
    assert own["server"].parent_span_id == own["client"].span_id
    assert own["server"].trace_id == own["client"].trace_id


def test_caller_that_did_not_sample_gets_no_span_but_its_payload_is_kept(
    tmp_path: Path, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    trace_id = secrets.token_hex(16)
    with running_agent(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}) as agent:
        request(
            "curl",
            "GET",
            f"{nginx.url}/hello",
            pki.ca,
            headers=[f"traceparent: 00-{trace_id}-{secrets.token_hex(8)}-00"],
        )
        agent.stop()
    assert not [span for span in collector.telemetry().spans if span.trace_id == trace_id]
