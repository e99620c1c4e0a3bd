# SPDX-License-Identifier: Apache-2.0
"""Services that make spans of their own: an exchange has one CLIENT and one SERVER span, and its payload."""

import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess, payload_get, running_agent
from tests.support.collector import Collector, running_collector
from tests.support.instrumented_python import command, environment
from tests.support.otlp_records import LogRecord, Span
from tests.support.pki import Pki
from tests.support.service_graph import service, service_graph
from tests.support.subprocesses import end
from tests.support.tls_servers import TlsServer, running_announced
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

EXCHANGES = 4


@dataclass
class Shop:
    """One service that calls another, both under names that no other test uses."""

    collector: Collector
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

    def spans(self, *kinds: str) -> list[Span]:
        names = {self.caller, self.called}
        return [s for s in self.collector.telemetry().spans if s.kind in kinds and service(s) in names]

    def captured(self) -> list[LogRecord]:
        names = {self.caller, self.called}
        events = self.collector.telemetry().events("qtap.payload.captured")
        return [event for event in events if event.resource["service.name"] in names]

    def wait_for_spans(self, kind: str, count: int) -> None:
        eventually(
            lambda: len(self.spans(kind)) >= count, f"{count} {kind} spans of {self.called}", seconds=20
        )


@pytest.fixture
def shop(collector: Collector, pki: Pki) -> Shop:
    mark = secrets.token_hex(4)
    return Shop(collector, pki, f"shop-{mark}", f"orders-{mark}")


@contextmanager
def agent_of(directory: Path, shop: Shop, **settings: str) -> Iterator[AgentProcess]:
    ours = {"OTEL_EXPORTER_OTLP_ENDPOINT": shop.collector.http_endpoint, **settings}
    with running_agent(directory / "agent", ours) as agent:
        yield agent


def bodies() -> list[bytes]:
    return [f"order {secrets.token_hex(8)}".encode() for _ in range(EXCHANGES)]


def stored(agent: AgentProcess, attributes: dict[str, str], part: str) -> bytes:
    return payload_get(agent, attributes[f"http.{part}.body.content_ref"], "--body")


def assert_payloads(
    agent: AgentProcess, told: Sequence[Span] | Sequence[LogRecord], sent: list[bytes]
) -> None:
    """What tells of the exchanges leads to their bodies, and says that they are whole."""
    assert all(one.attributes["qtap.capture.complete"] for one in told)
    assert sorted(stored(agent, one.attributes, "request") for one in told) == sorted(sent)
    assert sorted(stored(agent, one.attributes, "response") for one in told) == sorted(b[::-1] for b in sent)


def side(told: Sequence[LogRecord], which: str) -> list[LogRecord]:
    return [one for one in told if one.attributes["qtap.capture.side"] == which]


def test_both_sides_instrumented(tmp_path: Path, shop: Shop) -> None:
    sent = bodies()
    with agent_of(tmp_path, shop) as agent, shop.server(instrumented=True) as server:
        shop.call(server, sent, instrumented=True)
        shop.wait_for_spans("server", EXCHANGES)
        agent.stop()

    calls = shop.spans("client", "server")
    graph = service_graph(calls)
    assert graph.calls == {(shop.caller, shop.called): EXCHANGES}
    assert not graph.unpaired
    assert not [span for span in calls if span.scope.name.startswith("otel_qtap")]

    clients = {(span.trace_id, span.span_id) for span in calls if span.kind == "client"}
    for which in ("client", "server"):
        events = side(shop.captured(), which)
        assert {(event.trace_id, event.span_id) for event in events} == clients
        assert {event.attributes["qtap.instrumentation.evidence"] for event in events} == {"python_path"}
        assert_payloads(agent, events, sent)
    shown = [span for span in shop.spans("internal") if span.name == "qtap.capture"]
    assert sorted((span.trace_id, span.parent_span_id) for span in shown) == sorted([*clients, *clients])
    assert all(span.links for span in shown)


def test_caller_instrumented_alone(tmp_path: Path, shop: Shop) -> None:
    sent = bodies()
    with agent_of(tmp_path, shop) as agent, shop.server(instrumented=False) as server:
        shop.call(server, sent, instrumented=True)
        shop.wait_for_spans("client", EXCHANGES)
        agent.stop()

    graph = service_graph(shop.spans("client", "server"))
    assert graph.calls == {(shop.caller, shop.called): EXCHANGES}
    assert not graph.unpaired
    ours = shop.spans("server")
    assert {span.scope.name for span in ours} == {"otel_qtap.http"}
    assert_payloads(agent, ours, sent)
    assert_payloads(agent, shop.captured(), sent)
    assert side(shop.captured(), "server") == []


def test_called_service_instrumented_alone(tmp_path: Path, shop: Shop) -> None:
    sent = bodies()
    with agent_of(tmp_path, shop) as agent, shop.server(instrumented=True) as server:
        shop.call(server, sent, instrumented=False)
        shop.wait_for_spans("server", EXCHANGES)
        agent.stop()

    clients, servers = shop.spans("client"), shop.spans("server")
    assert {span.scope.name for span in clients} == {"otel_qtap.http"}
    assert {span.scope.name for span in servers} == {"opentelemetry.instrumentation.flask"}
    assert (len(clients), len(servers)) == (EXCHANGES, EXCHANGES)
    assert_payloads(agent, clients, sent)
    # No context was on the wire, so nobody but the service knows its span: the payload has one of its own.
    shown = shop.spans("internal")
    assert {(span.name, span.parent_span_id) for span in shown} == {("qtap.capture", "")}
    assert_payloads(agent, shown, sent)
    events = shop.captured()
    assert sorted((e.trace_id, e.span_id) for e in events) == sorted((s.trace_id, s.span_id) for s in shown)


def test_neither_side_instrumented(tmp_path: Path, shop: Shop) -> None:
    sent = bodies()
    with agent_of(tmp_path, shop) as agent, shop.server(instrumented=False) as server:
        shop.call(server, sent, instrumented=False)
        shop.wait_for_spans("server", EXCHANGES)
        agent.stop()

    for kind in ("client", "server"):
        assert_payloads(agent, shop.spans(kind), sent)
    assert shop.captured() == []
    assert shop.spans("internal") == []


def call_until_found_out(shop: Shop, server: TlsServer, evidence: str) -> None:
    """Until the agent has seen the service export spans, its exchanges have spans of both."""

    def found_out() -> bool:
        shop.call(server, bodies()[:1], instrumented=True)
        found = side(shop.captured(), "server")
        return evidence in {event.attributes["qtap.instrumentation.evidence"] for event in found}

    eventually(found_out, f"{shop.called} is found out by {evidence}", seconds=30)


@pytest.mark.parametrize("evidence", ["otlp_connection", "otlp_export"])
def test_sdk_set_up_in_code_is_found_by_what_it_sends(
    evidence: str, tmp_path: Path, shop: Shop, pki: Pki
) -> None:
    """Without TLS by its connection, with TLS by its calls, which are no traffic."""
    sent = bodies()
    with agent_of(tmp_path, shop) as agent, running_collector(tmp_path / "tls", tls=pki) as over_tls:
        arguments = ["--sdk"]
        if evidence == "otlp_export":
            arguments += ["--traces-endpoint", f"{over_tls.http_endpoint}/v1/traces"]
        with shop.server(*arguments, instrumented=False) as server:
            call_until_found_out(shop, server, evidence)
            known = {span.trace_id for span in shop.spans("client", "server")}
            shop.call(server, sent, instrumented=True)
            eventually(lambda: len(shop.spans("client")) >= EXCHANGES, "the calls were exported")
        left_out = agent.metric("qtap_exchange_otlp_total")
        agent.stop()

    after = [span for span in shop.spans("client", "server") if span.trace_id not in known]
    assert not [span for span in after if span.scope.name.startswith("otel_qtap")]
    everything = shop.collector.telemetry().spans
    assert not [s for s in everything if "/v1/traces" in str(s.attributes.get("url.full", ""))]
    assert left_out > 0 if evidence == "otlp_export" else left_out == 0
