# SPDX-License-Identifier: Apache-2.0
"""Services that make spans of their own: an exchange has one CLIENT and one SERVER span, and its payload.

The collector counts them with its own connectors for span metrics and service graphs.
"""

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess, payload_get, running_agent
from tests.support.clients import request
from tests.support.collector import Collector, running_collector
from tests.support.counted import counted_spans, edges
from tests.support.instrumented_python import command, environment
from tests.support.otlp_records import LogRecord, Span
from tests.support.pki import Pki
from tests.support.stored import wait_for_reference
from tests.support.subprocesses import end
from tests.support.tls_servers import TlsServer, running_announced
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

EXCHANGES = 4
OURS = "otel_qtap.http"
FLASK, REQUESTS = "opentelemetry.instrumentation.flask", "opentelemetry.instrumentation.requests"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("collector"), counting=True) as collector:
        yield collector


@dataclass
class Shop:
    """One service that calls another, both under names that no other test uses."""

    agent: AgentProcess
    collector: Collector
    bystander: TlsServer
    pki: Pki
    caller: str
    called: str

    def sdk_settings(self) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.http_endpoint,
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(self.pki.ca),
            "REQUESTS_CA_BUNDLE": str(self.pki.ca),  # wins over the former where the machine sets it
        }

    @contextmanager
    def server(self, *arguments: str, instrumented: bool) -> Iterator[TlsServer]:
        files = (str(self.pki.server.certificate), str(self.pki.server.key))
        started = command("flask_service.py", *files, *arguments, instrumented=instrumented)
        with running_announced(started, environment(self.called, self.sdk_settings())) as server:
            yield server

    def call(self, server: TlsServer, bodies: Sequence[bytes], *, instrumented: bool) -> None:
        """One client process, one connection; all answers are checked."""
        started = command(
            "orders_client.py", f"{server.url}/orders", str(self.pki.ca), instrumented=instrumented
        )
        client = subprocess.Popen(
            started,
            env=environment(self.caller, self.sdk_settings()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            answers, _ = client.communicate(b"".join(body + b"\n" for body in bodies), timeout=60)
        finally:
            end(client)
        assert answers.splitlines() == [body[::-1] for body in bodies]

    def spans(self, kind: str) -> list[Span]:
        return [s for s in self.collector.telemetry().spans if s.kind == kind and self._is_ours(s.resource)]

    def captured(self, side: str) -> list[LogRecord]:
        """The events of one side, ``client`` or ``server``."""
        events = self.collector.telemetry().events("qtap.payload.captured")
        ours = [event for event in events if self._is_ours(event.resource)]
        return [event for event in ours if event.attributes["qtap.capture.side"] == side]

    def _is_ours(self, resource: dict[str, object]) -> bool:
        return resource.get("service.name") in (self.caller, self.called)

    def settle(self, **least: int) -> None:
        """Wait for so many spans of each kind, then until nothing can be on its way any more."""
        for kind, count in least.items():
            eventually(lambda k=kind, n=count: len(self.spans(k)) >= n, f"{count} {kind} spans", seconds=20)
        # The agent exports each signal in the order in which it captured.
        mark = f"/{secrets.token_hex(8)}"
        closed = self._closed()
        request("http.client", "GET", self.bystander.url + mark, self.pki.ca)
        self.collector.wait_for_spans(1, lambda span: span.attributes.get("url.path") == mark)
        eventually(lambda: self._closed() > closed, "the events that came before have arrived")
        for _ in range(2):  # the first may have been counted before the last span came
            counted = self._counted()
            eventually(lambda n=counted: self._counted() > n, "the collector counts")

    def _closed(self) -> int:
        events = self.collector.telemetry().events("qtap.connection.closed")
        return sum(event.attributes.get("network.local.port") == self.bystander.port for event in events)

    def _counted(self) -> int:
        points = self.collector.telemetry().points
        return sum(point.name == "traces.span.metrics.calls" for point in points)

    def assert_counted_once(self) -> None:
        """Each exchange is one CLIENT span, one SERVER span, and one call of one service by the other."""
        telemetry = self.collector.telemetry()
        assert counted_spans(telemetry, self.caller) == {"SPAN_KIND_CLIENT": EXCHANGES}
        assert counted_spans(telemetry, self.called) == {"SPAN_KIND_SERVER": EXCHANGES}

    def edges(self) -> dict[tuple[str, str], float]:
        return edges(self.collector.telemetry(), self.caller, self.called)


@pytest.fixture
def shop(agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki) -> Shop:
    mark = secrets.token_hex(4)
    return Shop(agent, collector, cpython_server, pki, f"shop-{mark}", f"orders-{mark}")


def bodies() -> list[bytes]:
    return [f"order {secrets.token_hex(8)}".encode() for _ in range(EXCHANGES)]


def scopes(spans: Sequence[Span]) -> set[str]:
    return {span.scope.name for span in spans}


def assert_payloads(
    agent: AgentProcess, told: Sequence[Span] | Sequence[LogRecord], sent: Sequence[bytes]
) -> None:
    """What tells of the exchanges leads to their bodies, and says that they are whole."""
    assert len(told) == len(sent)
    assert all(one.attributes["qtap.capture.complete"] for one in told)
    for part, bodies in (("request", set(sent)), ("response", {body[::-1] for body in sent})):
        references = [one.attributes[f"http.{part}.body.content_ref"] for one in told]
        assert {wait_for_reference(reference).body for reference in references} == bodies
    assert payload_get(agent, references[0], "--body") in bodies


def test_both_sides_instrumented(shop: Shop) -> None:
    sent = bodies()
    with shop.server(instrumented=True) as server:
        shop.call(server, sent, instrumented=True)
        shop.settle(client=EXCHANGES, server=EXCHANGES, internal=2 * EXCHANGES)

    assert scopes(shop.spans("client")) == {REQUESTS}
    assert scopes(shop.spans("server")) == {FLASK}
    shop.assert_counted_once()
    assert shop.edges() == {(shop.caller, shop.called): EXCHANGES}

    theirs = {(span.trace_id, span.span_id) for span in shop.spans("client")}
    for side in ("client", "server"):
        events = shop.captured(side)
        assert {(event.trace_id, event.span_id) for event in events} == theirs
        assert {event.attributes["qtap.instrumentation.evidence"] for event in events} == {"python_path"}
        assert_payloads(shop.agent, events, sent)
    shown = shop.spans("internal")
    assert {span.name for span in shown} == {"qtap.capture"}
    assert sorted((span.trace_id, span.parent_span_id) for span in shown) == sorted([*theirs, *theirs])
    assert all(link.trace_id != span.trace_id for span in shown for link in span.links)
    assert all(span.links for span in shown)


def test_caller_instrumented_alone(shop: Shop) -> None:
    """OTEL_SERVICE_NAME and an endpoint, which the other has as well, instrument nothing."""
    sent = bodies()
    with shop.server(instrumented=False) as server:
        shop.call(server, sent, instrumented=True)
        shop.settle(client=EXCHANGES, server=EXCHANGES)

    assert scopes(shop.spans("client")) == {REQUESTS}
    assert scopes(shop.spans("server")) == {OURS}
    shop.assert_counted_once()
    assert shop.edges() == {(shop.caller, shop.called): EXCHANGES}
    assert_payloads(shop.agent, shop.spans("server"), sent)
    assert_payloads(shop.agent, shop.captured("client"), sent)
    assert shop.captured("server") == []


def test_called_service_instrumented_alone(shop: Shop) -> None:
    sent = bodies()
    with shop.server(instrumented=True) as server:
        shop.call(server, sent, instrumented=False)
        shop.settle(client=EXCHANGES, server=EXCHANGES, internal=EXCHANGES)

    assert scopes(shop.spans("client")) == {OURS}
    assert scopes(shop.spans("server")) == {FLASK}
    shop.assert_counted_once()
    assert_payloads(shop.agent, shop.spans("client"), sent)
    # No context was on the wire, so nobody but the service knows its span: the payload has one of its own.
    shown = shop.spans("internal")
    assert {(span.name, span.parent_span_id) for span in shown} == {("qtap.capture", "")}
    assert_payloads(shop.agent, shown, sent)
    events = shop.captured("server")
    assert {(e.trace_id, e.span_id) for e in events} == {(s.trace_id, s.span_id) for s in shown}
    assert shop.captured("client") == []


def test_neither_side_instrumented(shop: Shop) -> None:
    sent = bodies()
    with shop.server(instrumented=False) as server:
        shop.call(server, sent, instrumented=False)
        shop.settle(client=EXCHANGES, server=EXCHANGES)

    shop.assert_counted_once()
    for kind in ("client", "server"):
        assert scopes(shop.spans(kind)) == {OURS}
        assert_payloads(shop.agent, shop.spans(kind), sent)
    assert shop.captured("client") == shop.captured("server") == []
    assert shop.spans("internal") == []


@pytest.fixture(scope="module")
def tls_collector(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Collector]:
    with running_collector(tmp_path_factory.mktemp("tls"), tls=pki) as collector:
        yield collector


@pytest.mark.parametrize("evidence", ["otlp_connection", "otlp_export"])
def test_sdk_set_up_in_code_is_found_by_what_it_sends(
    evidence: str, shop: Shop, tls_collector: Collector
) -> None:
    """Without TLS by its connection, with TLS by its calls, which are no traffic."""
    over_tls = ["--traces-endpoint", f"{tls_collector.http_endpoint}/v1/traces"]
    left_out = shop.agent.metric("qtap_exchange_otlp_total")
    with shop.server("--sdk", *(over_tls if evidence == "otlp_export" else []), instrumented=False) as server:

        def is_found_out() -> bool:
            shop.call(server, bodies()[:1], instrumented=False)
            return any(
                event.attributes["qtap.instrumentation.evidence"] == evidence
                for event in shop.captured("server")
            )

        eventually(is_found_out, f"{shop.called} is found out by its {evidence}", seconds=30)
        shop.settle()
        before = sum(span.scope.name == OURS for span in shop.spans("server"))
        sent = bodies()
        shop.call(server, sent, instrumented=True)
        shop.settle()
        spans = shop.spans("server")

    assert sum(span.scope.name == OURS for span in spans) == before
    if evidence == "otlp_connection":
        clients = {span.span_id for span in shop.spans("client") if span.scope.name == REQUESTS}
        theirs = [span for span in spans if span.scope.name != OURS]
        assert {span.parent_span_id for span in theirs if span.parent_span_id} == clients
    else:
        assert shop.agent.metric("qtap_exchange_otlp_total") > left_out
    everything = shop.collector.telemetry().spans
    assert not [s for s in everything if "/v1/traces" in str(s.attributes.get("url.full", ""))]


def test_the_user_has_the_last_word(tmp_path: Path, shop: Shop) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": shop.collector.http_endpoint,
        "OTEL_QTAP_TRACE_UNINSTRUMENTED": f"service={shop.called}",
        "OTEL_QTAP_TRACE_CAPTURE_SPAN": "none",
        "OTEL_QTAP_CAPTURE_INCLUDE": f"service={shop.called},service={shop.caller}",
    }
    sent = bodies()
    with running_agent(tmp_path, settings) as agent, shop.server(instrumented=True) as server:
        shop.call(server, sent, instrumented=True)
        agent.stop()
        of_agent = agent.objects.as_uri()
        shop.settle(server=2 * EXCHANGES)

    own = [span for span in shop.spans("server") if of_agent in str(span.attributes.get("qtap.payload.uri"))]
    assert_payloads(agent, own, sent)
    events = [event for event in shop.captured("client") if of_agent in event.attributes["qtap.payload.uri"]]
    assert_payloads(agent, events, sent)
    shown = [span for span in shop.spans("internal") if of_agent in span.attributes["qtap.payload.uri"]]
    assert shown == []
