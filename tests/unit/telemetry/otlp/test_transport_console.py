# SPDX-License-Identifier: Apache-2.0
import io
import json

from otel_qtap.telemetry.otlp.attributes import RESOURCE_ATTRIBUTES, SPAN_ATTRIBUTES, AttributeEncoder
from otel_qtap.telemetry.otlp.requests import Group, Signal, export_request, instrumentation_scope
from otel_qtap.telemetry.otlp.spans import KIND_CLIENT, span_message
from otel_qtap.telemetry.otlp.transport import Outcome
from otel_qtap.telemetry.otlp.transport_console import ConsoleTransport


def request_with(*spans):
    resource = AttributeEncoder(RESOURCE_ATTRIBUTES).fragment("service.name", "orders")
    group = Group(resource, instrumentation_scope("otel_qtap.http", "1"), "https://schema")
    encoder = AttributeEncoder(SPAN_ATTRIBUTES)
    return export_request(
        (
            group,
            span_message(
                trace_id=b"\x01" * 16,
                span_id=b"\x02" * 8,
                name=name,
                kind=KIND_CLIENT,
                start_unix_ns=1,
                end_unix_ns=2,
                attributes=encoder.fragments(attributes),
                flags=0,
            ),
        )
        for name, attributes in spans
    ).body


def test_one_readable_line_per_span():
    stream = io.StringIO()
    attributes = {"server.port": 443, "tags": ("a", "b"), "ok": True}

    attempt = ConsoleTransport(Signal.TRACES, stream).send(
        request_with(("GET", attributes), ("POST", {})), None
    )

    assert attempt.outcome is Outcome.DELIVERED
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["name"] == "GET"
    assert first["traceId"] == "01" * 16
    assert first["attributes"] == {"server.port": 443, "tags": ["a", "b"], "ok": True}
    assert first["resource"] == {"service.name": "orders"}
    assert first["scope"] == "otel_qtap.http"
    assert second["name"] == "POST"


def test_closed_stream_is_told_and_does_not_raise():
    stream = io.StringIO()
    stream.close()
    attempt = ConsoleTransport(Signal.TRACES, stream).send(request_with(("GET", {})), None)
    assert (attempt.outcome, attempt.reason) == (Outcome.REFUSED, "stream_closed")


def test_nothing_that_a_terminal_obeys_is_written():
    stream = io.StringIO()
    value = "/\x1b[2J\x7f\x9b31m\u202e"
    ConsoleTransport(Signal.TRACES, stream).send(request_with(("GET", {"url.path": value})), None)
    line = stream.getvalue().removesuffix("\n")
    assert line.isprintable()
    assert json.loads(line)["attributes"]["url.path"] == value
