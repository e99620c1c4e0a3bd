# SPDX-License-Identifier: Apache-2.0
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from otel_qtap.agent.doctor import Host, Status
from otel_qtap.agent.doctor.collector import collector
from otel_qtap.telemetry.otlp.requests import Signal
from tests.support.collector import Collector, running_collector
from tests.support.otlp_sink import OtlpSink, running_sink
from tests.support.pki import Pki
from tests.support.ports import free_port

SERVICE = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with running_sink() as sink:
        yield sink


@pytest.mark.parametrize("signal", Signal)
def test_an_empty_request_is_sent_as_the_agent_would(
    make_host: Callable[..., Host], sink: OtlpSink, signal: Signal
) -> None:
    host = make_host(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_EXPORTER_OTLP_HEADERS="api-key=k")
    outcome = collector(signal)(host)
    assert outcome.status is Status.OK
    assert sink.endpoint in outcome.summary
    (request,) = sink.requests
    assert request.path == f"/v1/{signal}"
    assert request.body == b""
    assert request.headers["api-key"] == "k"


def test_json(make_host: Callable[..., Host], sink: OtlpSink) -> None:
    host = make_host(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
    assert collector(Signal.LOGS)(host).status is Status.OK
    assert sink.requests[0].is_json


@pytest.mark.parametrize(
    ("answer", "status", "hint"),
    [
        (401, Status.FAIL, "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, Status.FAIL, "/v1/traces"),
        (400, Status.FAIL, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (429, Status.WARN, "more room"),
    ],
)
def test_refusals(
    make_host: Callable[..., Host], sink: OtlpSink, answer: int, status: Status, hint: str
) -> None:
    sink.answer_with(answer)
    outcome = collector(Signal.TRACES)(make_host(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint))
    assert outcome.status is status
    assert hint in outcome.remedy


def test_nobody_listens(make_host: Callable[..., Host]) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    outcome = collector(Signal.TRACES)(make_host(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint))
    assert outcome.status is Status.FAIL
    assert "Connection refused" in outcome.summary
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in outcome.remedy


def test_a_host_that_does_not_exist(make_host: Callable[..., Host]) -> None:
    host = make_host(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.invalid:4318")
    assert collector(Signal.TRACES)(host).status is Status.FAIL


def test_a_certificate_of_an_unknown_authority(
    make_host: Callable[..., Host], pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.certificate, pki.server.key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):  # the plain connection, then the one with TLS
                connection, _ = server.accept()
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except (ssl.SSLError, OSError):
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        endpoint = f"https://127.0.0.1:{server.getsockname()[1]}"
        outcome = collector(Signal.TRACES)(make_host(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint))
        thread.join()
    assert outcome.status is Status.FAIL
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in outcome.remedy


@pytest.mark.parametrize("exporter", ["none", "console"])
def test_a_signal_that_goes_elsewhere_is_skipped(make_host: Callable[..., Host], exporter: str) -> None:
    outcome = collector(Signal.METRICS)(make_host(OTEL_METRICS_EXPORTER=exporter))
    assert outcome.status is Status.SKIP
    assert f"OTEL_METRICS_EXPORTER={exporter}" in outcome.summary


class _Export(grpc.GenericRpcHandler):  # type: ignore[misc]
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != SERVICE:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


def test_grpc(make_host: Callable[..., Host]) -> None:
    server = grpc.server(ThreadPoolExecutor(1), handlers=(_Export(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        host = make_host(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_PROTOCOL="grpc"
        )
        assert collector(Signal.TRACES)(host).status is Status.OK
        outcome = collector(Signal.LOGS)(host)
        assert outcome.status is Status.FAIL
        assert "receiver with logs" in outcome.remedy
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module")
def demanding_collector(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Collector]:
    """A real collector that wants TLS and a client certificate."""
    with running_collector(tmp_path_factory.mktemp("collector"), tls=pki, mutual=True) as running:
        yield running


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
@pytest.mark.parametrize("signal", Signal)
def test_a_real_collector_takes_it(
    make_host: Callable[..., Host], demanding_collector: Collector, pki: Pki, protocol: str, signal: Signal
) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": demanding_collector.grpc_endpoint
        if protocol == "grpc"
        else demanding_collector.http_endpoint,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(pki.ca),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(pki.client.certificate),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(pki.client.key),
    }
    outcome = collector(signal)(make_host(**variables))
    assert outcome.status is Status.OK, outcome
