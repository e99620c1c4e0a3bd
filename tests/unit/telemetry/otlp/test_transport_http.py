# SPDX-License-Identifier: Apache-2.0
import json
import time
from email.utils import formatdate

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_qtap.errors import ExportError
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.otlp.transport import USER_AGENT, Outcome
from otel_qtap.telemetry.otlp.transport_http import HttpTransport

BODY = ExportTraceServiceRequest(
    resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(trace_id=b"\xab" * 16, name="GET")])])]
).SerializeToString()


@pytest.fixture
def transport_to():
    opened = []

    def open_one(collector, *, path="/v1/traces", signal=Signal.TRACES, protocol="http/protobuf", **target):
        transport = HttpTransport(
            OtlpTarget(protocol=protocol, endpoint=collector.url(path), **target), signal
        )
        opened.append(transport)
        return transport

    yield open_one
    for transport in opened:
        transport.close()


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_request_arrives_whole(collector, transport_to, compression):
    transport = transport_to(collector, compression=compression, headers=(("X-Tenant", "blue"),))

    assert transport.send(BODY, 5).outcome is Outcome.DELIVERED

    [(path, headers, body)] = collector.received
    assert (path, body) == ("/v1/traces", BODY)
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["User-Agent"] == USER_AGENT
    assert headers["X-Tenant"] == "blue"
    assert headers.get("Content-Encoding") == (None if compression == "none" else "gzip")


def test_requests_share_a_connection(collector, transport_to):
    transport = transport_to(collector)
    for _ in range(3):
        transport.send(BODY, 5)
    assert len(collector.received) == 3
    assert len(collector.peers) == 1


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_json_has_ids_in_hex_and_enums_as_numbers(collector, transport_to, compression):
    transport = transport_to(collector, protocol="http/json", compression=compression)

    assert transport.send(BODY, 5).outcome is Outcome.DELIVERED

    [(_, headers, body)] = collector.received
    assert headers["Content-Type"] == "application/json"
    [span] = json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert span == {"traceId": "ab" * 16, "name": "GET"}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.DELIVERED),
        (202, Outcome.DELIVERED),
        (301, Outcome.REFUSED),
        (400, Outcome.REFUSED),
        (401, Outcome.REFUSED),
        (404, Outcome.REFUSED),
        (413, Outcome.TOO_LARGE),
        (429, Outcome.RETRY),
        (500, Outcome.REFUSED),
        (502, Outcome.RETRY),
        (503, Outcome.RETRY),
        (504, Outcome.RETRY),
    ],
)
def test_status_decides(collector, transport_to, status, outcome):
    collector.answers = [(status, {}, b"")]
    attempt = transport_to(collector).send(BODY, 5)
    assert attempt.outcome is outcome
    assert attempt.reason == ("" if outcome is Outcome.DELIVERED else str(status))
    assert len(collector.received) == 1, "redirects are not followed, and repeating is the sender's business"


def test_retry_after_in_seconds_and_as_a_date(collector, transport_to):
    later = formatdate(time.time() + 3600, usegmt=True)
    earlier = formatdate(time.time() - 3600, usegmt=True)
    collector.answers = [
        (429, {"Retry-After": value}, b"") for value in ("7", later, earlier, "soon", "-1", "")
    ]
    transport = transport_to(collector)
    waits = [transport.send(BODY, 5).retry_after for _ in range(6)]
    assert waits[0] == 7
    assert waits[1] == pytest.approx(3600, abs=30)
    assert waits[2] == 0
    assert waits[3:] == [None, None, None]


def test_partial_success_of_protobuf(collector, transport_to):
    response = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    )
    collector.answers = [(200, {}, response.SerializeToString())]
    attempt = transport_to(collector).send(BODY, 5)
    assert (attempt.outcome, attempt.rejected, attempt.message) == (Outcome.DELIVERED, 1, "too old")


@pytest.mark.parametrize(
    ("answer", "rejected", "message"),
    [
        (b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}', 1, "too old"),
        (b'{"partialSuccess":{"rejectedLogRecords":2}}', 2, ""),
        (b'{"partialSuccess":{}}', 0, ""),
        (b"{}", 0, ""),
        (b"", 0, ""),
        (b"[]", 0, ""),
        (b"<html>", 0, ""),
        (b'{"partialSuccess":{"rejectedSpans":"many"}}', 0, ""),
    ],
)
def test_partial_success_of_json(collector, transport_to, answer, rejected, message):
    collector.answers = [(200, {}, answer)]
    attempt = transport_to(collector, protocol="http/json").send(BODY, 5)
    assert attempt.outcome is Outcome.DELIVERED
    assert (attempt.rejected, attempt.message) == (rejected, message)


def test_nobody_listens(collector_factory, transport_to):
    collector = collector_factory()
    transport = transport_to(collector)
    collector.close()
    attempt = transport.send(BODY, 5)
    assert (attempt.outcome, attempt.reason) == (Outcome.RETRY, "connection_error")


def test_answer_that_does_not_come_in_time(collector, transport_to):
    collector.decide = lambda _: (time.sleep(0.5), (200, {}, b""))[1]
    attempt = transport_to(collector).send(BODY, 0.05)
    assert (attempt.outcome, attempt.reason) == (Outcome.RETRY, "timeout")


def test_tls_with_a_private_authority(collector_factory, transport_to, certificates):
    collector = collector_factory(tls=certificates.server_context)
    transport = transport_to(collector, ca_certificate=certificates.authority)
    assert transport.send(BODY, 5).outcome is Outcome.DELIVERED
    assert collector.received[0][2] == BODY


def test_unknown_authority_is_not_trusted(collector_factory, transport_to, certificates):
    collector = collector_factory(tls=certificates.server_context)
    attempt = transport_to(collector).send(BODY, 5)
    assert (attempt.outcome, attempt.reason) == (Outcome.RETRY, "tls_error")
    assert collector.received == []


def test_client_certificate(collector_factory, transport_to, certificates):
    collector = collector_factory(tls=certificates.mutual_context)
    transport = transport_to(
        collector,
        ca_certificate=certificates.authority,
        client_certificate=certificates.client_certificate,
        client_key=certificates.client_key,
    )
    assert transport.send(BODY, 5).outcome is Outcome.DELIVERED
    without = transport_to(collector, ca_certificate=certificates.authority)
    assert without.send(BODY, 5).outcome is Outcome.RETRY


@pytest.mark.parametrize(
    "broken",
    [
        {"ca_certificate": b"no certificate"},
        {"ca_certificate": b"\xff\xfe"},
        {"client_certificate": b"no certificate", "client_key": b"no key"},
    ],
)
def test_unusable_certificates_are_refused_at_once(broken):
    target = OtlpTarget(protocol="http/protobuf", endpoint="https://localhost:1/v1/traces", **broken)
    with pytest.raises(ExportError, match="certificate"):
        HttpTransport(target, Signal.TRACES)


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://collector", "http://"])
def test_endpoint_that_is_no_url_is_refused(endpoint):
    with pytest.raises(ExportError, match="URL"):
        HttpTransport(OtlpTarget(protocol="http/protobuf", endpoint=endpoint), Signal.LOGS)


def test_other_signals_have_their_json(collector, transport_to):
    body = ExportLogsServiceRequest().SerializeToString()
    transport = transport_to(collector, path="/v1/logs", signal=Signal.LOGS, protocol="http/json")
    assert transport.send(body, 5).outcome is Outcome.DELIVERED
    assert json.loads(collector.received[0][2]) == {}
