# SPDX-License-Identifier: Apache-2.0
"""Real clients against real servers: both ends' spans by the conventions, their payloads by reference."""

import pytest

from tests.support.agent import AgentProcess, payload_get
from tests.support.clients import CLIENTS, request
from tests.support.collector import Collector
from tests.support.nginx import Nginx
from tests.support.otlp_records import Span
from tests.support.payloads import self_describing, sha256
from tests.support.pki import Pki
from tests.support.stored import read_reference, wait_for_reference
from tests.support.tls_servers import TlsServer

pytestmark = pytest.mark.e2e

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"


def spans_of(collector: Collector, port: int, mark: str) -> tuple[Span, Span]:
    """The client's and the server's span of the one exchange whose path has ``mark`` in it."""

    def chosen(span: Span) -> bool:
        url = span.attributes.get("url.full") or span.attributes.get("url.path", "")
        return span.port == port and mark in url

    spans = collector.wait_for_spans(2, chosen)
    assert sorted(span.kind for span in spans) == ["client", "server"]
    client, server = sorted(spans, key=lambda span: span.kind)
    return client, server


@pytest.mark.parametrize("client", CLIENTS)
def test_exchange_with_cpython_server_is_told_by_both_ends(
    client: str, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    body = self_describing(client, 5000)
    path = f"/echo/{client}"
    answer = request(client, "POST", f"{cpython_server.url}{path}?page=7", pki.ca, body=body)
    assert answer.body == body

    near, far = spans_of(collector, cpython_server.port, path)

    for span in (near, far):
        assert span.name == "POST"
        assert span.status == "unset"
        assert span.end >= span.start
        assert span.scope.name == "otel_qtap.http"
        assert span.scope.schema_url == SCHEMA_URL
        assert span.resource["telemetry.distro.name"] == "otel-qtap"
        assert span.resource["service.name"]
        assert {
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "network.protocol.version": "1.1",
            "network.peer.address": "127.0.0.1",
            "server.address": "localhost",
            "server.port": cpython_server.port,
            "http.request.body.size": len(body),
            "http.response.body.size": len(body),
            "qtap.capture.complete": True,
        }.items() <= span.attributes.items()
        assert "error.type" not in span.attributes
        assert "http.route" not in span.attributes
    assert near.attributes["url.full"] == f"{cpython_server.url}{path}?page=REDACTED"
    assert near.attributes["network.peer.port"] == cpython_server.port
    assert near.attributes["qtap.capture.side"] == "client"
    assert far.attributes["url.path"] == path
    assert far.attributes["url.scheme"] == "https"
    assert far.attributes["url.query"] == "page=REDACTED"
    assert far.attributes["client.address"] == "127.0.0.1"
    assert far.attributes["qtap.capture.side"] == "server"
    assert far.attributes["process.pid"] == cpython_server.pid


@pytest.mark.parametrize("client", CLIENTS)
def test_payloads_of_both_ends_are_stored_byte_for_byte(
    client: str, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    body = self_describing(f"stored {client}", 20_000)
    path = f"/echo/stored-{client}"
    request(client, "POST", cpython_server.url + path, pki.ca, body=body, headers=["X-Mark: mine"])

    for span in spans_of(collector, cpython_server.port, path):
        for part in ("request", "response"):
            message = wait_for_reference(span.body_reference(part))
            assert message.record_type == part
            assert message.body == body
            assert message.fields["qtap-trace-id"] == span.trace_id
            assert message.fields["qtap-span-id"] == span.span_id
        assert read_reference(span.body_reference("request")).http_fields["x-mark"] == "mine"


@pytest.mark.parametrize("client", CLIENTS)
def test_exchange_with_nginx_is_told_by_both_ends(
    client: str, agent: AgentProcess, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    body = nginx.add_sized(3000)
    path = f"/sized/3000/{client}"
    assert request(client, "GET", nginx.url + path, pki.ca).body == body

    for span in spans_of(collector, nginx.port, path):
        assert span.attributes["http.request.method"] == "GET"
        assert span.attributes["http.response.status_code"] == 200
        assert span.attributes["http.response.body.size"] == len(body)
        assert sha256(wait_for_reference(span.body_reference("response")).body) == sha256(body)


def test_payload_get_prints_message_and_body(
    agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    body = self_describing("by the command", 4000)
    request("curl", "POST", f"{cpython_server.url}/echo/command", pki.ca, body=body)
    near, far = spans_of(collector, cpython_server.port, "/echo/command")
    uri = near.body_reference("request")
    wait_for_reference(uri)

    assert payload_get(agent, uri, "--body") == body
    whole = payload_get(agent, uri)
    assert whole.startswith(b"POST /echo/command HTTP/1.1\r\n")
    assert whole.endswith(b"\r\n\r\n" + body)
    assert payload_get(agent, uri, "--part", "response").startswith(b"HTTP/1.1 200 ")
    assert payload_get(agent, far.body_reference("response"), "--part", "request", "--body") == body


def test_proxy_shows_one_span_for_each_of_four_ends(
    agent: AgentProcess, collector: Collector, nginx: Nginx, cpython_server: TlsServer, pki: Pki
) -> None:
    body = self_describing("proxied", 30_000)
    answer = request("curl", "POST", f"{nginx.url}/upstream/chunked/proxied", pki.ca, body=body)
    assert answer.body == body

    outer = spans_of(collector, nginx.port, "/upstream/chunked/proxied")
    inner = spans_of(collector, cpython_server.port, "/chunked/proxied")
    for span in (*outer, *inner):
        assert wait_for_reference(span.body_reference("response")).body == body
    assert inner[0].attributes["process.executable.name"] == "nginx"


@pytest.mark.parametrize(
    ("path", "code", "server_status", "server_error"),
    [("/missing", 404, "unset", None), ("/broken", 503, "error", "503")],
)
def test_failed_exchange_has_status_and_error_type(
    path: str,
    code: int,
    server_status: str,
    server_error: str | None,
    agent: AgentProcess,
    collector: Collector,
    nginx: Nginx,
    pki: Pki,
) -> None:
    assert request("curl", "GET", nginx.url + path, pki.ca).status == code
    near, far = spans_of(collector, nginx.port, path)
    assert (near.status, near.attributes["error.type"]) == ("error", str(code))
    assert (far.status, far.attributes.get("error.type")) == (server_status, server_error)


def test_link_points_at_the_upload_in_another_trace(
    agent: AgentProcess, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    request("curl", "GET", f"{nginx.url}/hello?linked", pki.ca)
    span = collector.wait_for_spans(
        1,
        lambda s: (
            s.port == nginx.port and s.kind == "server" and "linked" in s.attributes.get("url.query", "")
        ),
    )[0]
    (link,) = span.links
    assert int(link.trace_id, 16)
    assert int(link.span_id, 16)
    assert link.trace_id != span.trace_id
    assert str(link.attributes["qtap.payload.uri"]).startswith(agent.objects.as_uri())
