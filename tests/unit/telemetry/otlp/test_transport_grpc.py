# SPDX-License-Identifier: Apache-2.0
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.otlp.transport import Outcome
from otel_qtap.telemetry.otlp.transport_grpc import GrpcTransport, _retry_delay
from otel_qtap.telemetry.otlp.wire import delimited

REQUEST = ExportTraceServiceRequest(
    resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(name="GET")])])]
)
BODY = REQUEST.SerializeToString()


def status_with_retry_info(delay):
    """google.rpc.Status with a RetryInfo among its details, as servers put it into the trailers."""
    retry_info = delimited(b"\x0a", delay.SerializeToString())
    other = Any(type_url="type.googleapis.com/google.rpc.Help", value=b"\x08\x01")
    wanted = Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=retry_info)
    return b"\x08\x0e" + b"".join(delimited(b"\x1a", d.SerializeToString()) for d in (other, wanted))


class Service(TraceServiceServicer):
    def __init__(self):
        self.requests, self.metadata = [], []
        self.code, self.trailers, self.delay = None, (), 0.0
        self.response = ExportTraceServiceResponse()

    def Export(self, request, context):  # noqa: N802 - the method's name in the protocol
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        time.sleep(self.delay)
        if self.code is not None:
            context.set_trailing_metadata(self.trailers)
            context.abort(self.code, "no")
        return self.response


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def serve(service):
    servers = []

    def start(credentials=None, at=0):
        server = grpc.server(ThreadPoolExecutor(2))
        add_TraceServiceServicer_to_server(service, server)
        if credentials is None:
            port = server.add_insecure_port(f"127.0.0.1:{at}")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        servers.append(server)
        return port

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def transport_to():
    opened = []

    def open_one(endpoint, **target):
        opened.append(GrpcTransport(OtlpTarget(protocol="grpc", endpoint=endpoint, **target), Signal.TRACES))
        return opened[-1]

    yield open_one
    for transport in opened:
        transport.close()


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_request_arrives_whole(service, serve, transport_to, compression):
    transport = transport_to(
        f"http://127.0.0.1:{serve()}", compression=compression, headers=(("X-Tenant", "blue"),)
    )
    assert transport.send(BODY, 5).outcome is Outcome.DELIVERED
    assert service.requests == [REQUEST]
    assert service.metadata[0]["x-tenant"] == "blue"
    assert service.metadata[0]["user-agent"].startswith("OTel-OTLP-Exporter-otel-qtap/")


def test_endpoint_without_scheme_is_plain_if_insecure(service, serve, transport_to):
    transport = transport_to(f"127.0.0.1:{serve()}", insecure=True)
    assert transport.send(BODY, 5).outcome is Outcome.DELIVERED


def test_endpoint_without_scheme_is_tls_by_default(service, serve, transport_to):
    transport = transport_to(f"127.0.0.1:{serve()}")
    assert transport.send(BODY, 5).outcome is Outcome.RETRY
    assert service.requests == []


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("CANCELLED", Outcome.RETRY),
        ("DEADLINE_EXCEEDED", Outcome.RETRY),
        ("ABORTED", Outcome.RETRY),
        ("OUT_OF_RANGE", Outcome.RETRY),
        ("UNAVAILABLE", Outcome.RETRY),
        ("DATA_LOSS", Outcome.RETRY),
        ("RESOURCE_EXHAUSTED", Outcome.TOO_LARGE),
        ("INVALID_ARGUMENT", Outcome.REFUSED),
        ("UNAUTHENTICATED", Outcome.REFUSED),
        ("UNIMPLEMENTED", Outcome.REFUSED),
        ("INTERNAL", Outcome.REFUSED),
        ("UNKNOWN", Outcome.REFUSED),
    ],
)
def test_code_decides(service, serve, transport_to, code, outcome):
    service.code = grpc.StatusCode[code]
    attempt = transport_to(f"http://127.0.0.1:{serve()}").send(BODY, 5)
    assert (attempt.outcome, attempt.reason, attempt.retry_after) == (outcome, code, None)


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
def test_retry_info_says_when(service, serve, transport_to, code):
    service.code = grpc.StatusCode[code]
    delay = Duration(seconds=2, nanos=500_000_000)
    service.trailers = (("grpc-status-details-bin", status_with_retry_info(delay)),)
    attempt = transport_to(f"http://127.0.0.1:{serve()}").send(BODY, 5)
    assert (attempt.outcome, attempt.retry_after) == (Outcome.RETRY, 2.5)


@pytest.mark.parametrize("status", [b"", b"\x1a\x05ab", b"\x1a\x00", b"\x08\x0e", b"\xff" * 20])
def test_status_details_without_retry_info(status):
    assert _retry_delay(status) is None


def test_partial_success(service, serve, transport_to):
    service.response = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    )
    attempt = transport_to(f"http://127.0.0.1:{serve()}").send(BODY, 5)
    assert (attempt.outcome, attempt.rejected, attempt.message) == (Outcome.DELIVERED, 1, "too old")


def test_answer_that_does_not_come_in_time(service, serve, transport_to):
    service.delay = 0.5
    attempt = transport_to(f"http://127.0.0.1:{serve()}").send(BODY, 0.05)
    assert (attempt.outcome, attempt.reason) == (Outcome.RETRY, "DEADLINE_EXCEEDED")


def test_nobody_listens(free_port, transport_to):
    attempt = transport_to(f"http://127.0.0.1:{free_port}").send(BODY, 5)
    assert (attempt.outcome, attempt.reason) == (Outcome.RETRY, "UNAVAILABLE")


def test_server_that_comes_back_is_found_again(service, serve, free_port, transport_to):
    transport = transport_to(f"http://127.0.0.1:{free_port}")
    assert transport.send(BODY, 5).outcome is Outcome.RETRY
    serve(at=free_port)
    deadline = time.monotonic() + 10
    while transport.send(BODY, 5).outcome is Outcome.RETRY and time.monotonic() < deadline:
        time.sleep(0.05)
    assert service.requests == [REQUEST]


def test_tls_with_a_private_authority(service, serve, transport_to, certificates):
    credentials = grpc.ssl_server_credentials([(certificates.server_key, certificates.server_certificate)])
    endpoint = f"https://localhost:{serve(credentials)}"
    trusting = transport_to(endpoint, ca_certificate=certificates.authority)
    assert trusting.send(BODY, 5).outcome is Outcome.DELIVERED
    assert transport_to(endpoint).send(BODY, 5).outcome is Outcome.RETRY
    assert service.requests == [REQUEST]


def test_client_certificate(service, serve, transport_to, certificates):
    credentials = grpc.ssl_server_credentials(
        [(certificates.server_key, certificates.server_certificate)],
        root_certificates=certificates.authority,
        require_client_auth=True,
    )
    endpoint = f"https://localhost:{serve(credentials)}"
    known = transport_to(
        endpoint,
        ca_certificate=certificates.authority,
        client_certificate=certificates.client_certificate,
        client_key=certificates.client_key,
    )
    assert known.send(BODY, 5).outcome is Outcome.DELIVERED
    unknown = transport_to(endpoint, ca_certificate=certificates.authority)
    assert unknown.send(BODY, 5).outcome is Outcome.RETRY
    assert service.requests == [REQUEST]
