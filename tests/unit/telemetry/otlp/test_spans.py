# SPDX-License-Identifier: Apache-2.0
"""Differential: our Span against the SDK's encode_spans, both parsed with opentelemetry-proto."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from otel_qtap.telemetry.otlp.attributes import LINK_ATTRIBUTES, SPAN_ATTRIBUTES, AttributeEncoder
from otel_qtap.telemetry.otlp.spans import (
    FLAG_HAS_IS_REMOTE,
    FLAG_IS_REMOTE,
    KIND_CLIENT,
    KIND_INTERNAL,
    KIND_SERVER,
    link_message,
    span_message,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.lists(TEXT, max_size=3).map(tuple),
)
ATTRIBUTES = st.dictionaries(TEXT, VALUES, max_size=30)
TRACE_IDS = st.integers(1, (1 << 128) - 1)
SPAN_IDS = st.integers(1, (1 << 64) - 1)
TIMES = st.integers(0, (1 << 63) - 1)
KINDS = {KIND_CLIENT: SpanKind.CLIENT, KIND_SERVER: SpanKind.SERVER, KIND_INTERNAL: SpanKind.INTERNAL}
LINKS = st.lists(st.tuples(TRACE_IDS, SPAN_IDS, st.booleans(), ATTRIBUTES), max_size=3)


@given(
    trace_id=TRACE_IDS,
    span_id=SPAN_IDS,
    parent=st.none() | st.tuples(SPAN_IDS, st.booleans()),
    trace_state=st.sampled_from(["", "vendor=value", "a=1,b=2"]),
    name=TEXT,
    kind=st.sampled_from(sorted(KINDS)),
    start=TIMES,
    end=TIMES,
    attributes=ATTRIBUTES,
    links=LINKS,
    is_error=st.booleans(),
    trace_flags=st.sampled_from([0, 1, 3]),
)
def test_span_is_what_the_sdk_encodes(
    *,
    trace_id,
    span_id,
    parent,
    trace_state,
    name,
    kind,
    start,
    end,
    attributes,
    links,
    is_error,
    trace_flags,
):
    flags = FLAG_HAS_IS_REMOTE | (FLAG_IS_REMOTE if parent and parent[1] else 0)
    link_flags = [FLAG_HAS_IS_REMOTE | (FLAG_IS_REMOTE if remote else 0) for _, _, remote, _ in links]
    link_encoder = AttributeEncoder(LINK_ATTRIBUTES)
    ours = ScopeSpans.FromString(
        span_message(
            trace_id=trace_id.to_bytes(16, "big"),
            span_id=span_id.to_bytes(8, "big"),
            name=name,
            kind=kind,
            start_unix_ns=start,
            end_unix_ns=end,
            attributes=AttributeEncoder(SPAN_ATTRIBUTES).fragments(attributes),
            flags=flags | trace_flags,
            parent_span_id=parent[0].to_bytes(8, "big") if parent else b"",
            trace_state=trace_state,
            is_error=is_error,
            links=[
                link_message(
                    trace_id=link_trace.to_bytes(16, "big"),
                    span_id=link_span.to_bytes(8, "big"),
                    attributes=link_encoder.fragments(link_attributes),
                    flags=link_flag,
                )
                for (link_trace, link_span, _, link_attributes), link_flag in zip(
                    links, link_flags, strict=True
                )
            ],
        )
    ).spans[0]

    span = ReadableSpan(
        name=name,
        context=SpanContext(
            trace_id,
            span_id,
            False,
            TraceFlags(1),
            TraceState.from_header([trace_state] if trace_state else []),
        ),
        parent=SpanContext(trace_id, parent[0], parent[1]) if parent else None,
        resource=Resource({}),
        attributes=attributes,
        links=[
            Link(SpanContext(link_trace, link_span, remote), link_attributes)
            for link_trace, link_span, remote, link_attributes in links
        ],
        kind=KINDS[kind],
        status=Status(StatusCode.ERROR if is_error else StatusCode.UNSET),
        start_time=start,
        end_time=end,
    )
    theirs = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
    # Two things the SDK leaves to be wished: it drops the W3C flags, and writes an empty status.
    theirs.flags |= trace_flags
    if not is_error:
        theirs.ClearField("status")
    assert ours == theirs


@pytest.mark.parametrize("dropped", [0, 1, 300])
def test_dropped_counts_are_told(dropped):
    link = link_message(
        trace_id=b"t" * 16, span_id=b"s" * 8, attributes=[], flags=0, dropped_attributes=dropped
    )
    message = span_message(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        name="GET",
        kind=KIND_CLIENT,
        start_unix_ns=1,
        end_unix_ns=2,
        attributes=[],
        flags=0,
        links=[link],
        dropped_attributes=dropped,
        dropped_links=dropped,
    )
    span = ScopeSpans.FromString(message).spans[0]
    assert span.dropped_attributes_count == dropped
    assert span.dropped_links_count == dropped
    assert span.links[0].dropped_attributes_count == dropped


def test_names_are_right_after_more_than_are_remembered():
    def named(name):
        message = span_message(
            trace_id=b"t" * 16,
            span_id=b"s" * 8,
            name=name,
            kind=KIND_CLIENT,
            start_unix_ns=1,
            end_unix_ns=2,
            attributes=[],
            flags=0,
        )
        return ScopeSpans.FromString(message).spans[0].name

    assert [named(f"n{i}") for i in range(3000)] == [f"n{i}" for i in range(3000)]
