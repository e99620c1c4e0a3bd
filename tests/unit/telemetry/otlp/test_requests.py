# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_qtap.telemetry.otlp.attributes import RESOURCE_ATTRIBUTES, AttributeEncoder
from otel_qtap.telemetry.otlp.requests import (
    ExportRequest,
    Group,
    export_request,
    instrumentation_scope,
    split_request,
)
from otel_qtap.telemetry.otlp.wire import delimited


def group(service, scope):
    resource = AttributeEncoder(RESOURCE_ATTRIBUTES).fragment("service.name", service)
    return Group(resource, instrumentation_scope(scope, "1.2"), "https://schema")


GROUPS = [group(service, scope) for service in ("a", "b", "c") for scope in ("x", "y")]
ITEMS = st.lists(st.tuples(st.sampled_from(range(len(GROUPS))), st.integers(0, 10**6)), max_size=60)


def span(number):
    return delimited(b"\x12", delimited(b"\x2a", str(number).encode()))


def spans_of(request):
    """(service, scope, span name) of every span, in order."""
    return [
        (entry.resource.attributes[0].value.string_value, scope.scope.name, one.name)
        for entry in ExportTraceServiceRequest.FromString(request.body).resource_spans
        for scope in entry.scope_spans
        for one in scope.spans
    ]


@given(ITEMS)
def test_each_resource_and_scope_stands_once_and_no_span_is_lost(items):
    request = export_request([(GROUPS[at], span(number)) for at, number in items])

    assert request.items == len(items)
    message = ExportTraceServiceRequest.FromString(request.body)
    services = [entry.resource.attributes[0].value.string_value for entry in message.resource_spans]
    assert len(services) == len(set(services))
    for entry in message.resource_spans:
        assert entry.schema_url == "https://schema"
        scopes = [scope.scope.name for scope in entry.scope_spans]
        assert len(scopes) == len(set(scopes))
        assert {(scope.scope.version, scope.schema_url) for scope in entry.scope_spans} == {
            ("1.2", "https://schema")
        }
    expected = [("abc"[at // 2], "xy"[at % 2], str(number)) for at, number in items]
    assert sorted(spans_of(request)) == sorted(expected)


@given(ITEMS.filter(lambda items: len(items) >= 2))
def test_halves_together_are_the_whole(items):
    request = export_request([(GROUPS[at], span(number)) for at, number in items])
    first, second = split_request(request)
    assert first.items == len(items) // 2
    assert first.items + second.items == len(items)
    assert spans_of(first) + spans_of(second) == spans_of(request)
    for half in (first, second):
        message = ExportTraceServiceRequest.FromString(half.body)
        assert all(entry.schema_url == "https://schema" for entry in message.resource_spans)


def test_what_is_no_request_cannot_be_split():
    with pytest.raises(ValueError, match="number"):
        split_request(ExportRequest(b"\x08\x01", 2))
