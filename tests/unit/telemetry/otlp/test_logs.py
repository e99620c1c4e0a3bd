# SPDX-License-Identifier: Apache-2.0
"""Differential: our LogRecord against the SDK's encode_logs, both parsed with opentelemetry-proto."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_qtap.telemetry.otlp.attributes import LOG_ATTRIBUTES, AttributeEncoder
from otel_qtap.telemetry.otlp.logs import SEVERITY_INFO, SEVERITY_WARN, log_message

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.one_of(TEXT, st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False))
TIMES = st.integers(1, (1 << 63) - 1)


@given(
    event_name=TEXT,
    severity=st.sampled_from([SEVERITY_INFO, SEVERITY_WARN]),
    time=TIMES,
    observed=TIMES,
    attributes=st.dictionaries(TEXT, VALUES, max_size=15),
    span=st.none() | st.tuples(st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1)),
)
def test_log_record_is_what_the_sdk_encodes(*, event_name, severity, time, observed, attributes, span):
    ours = ScopeLogs.FromString(
        log_message(
            event_name=event_name,
            severity_number=severity,
            time_unix_ns=time,
            observed_unix_ns=observed,
            attributes=AttributeEncoder(LOG_ATTRIBUTES).fragments(attributes),
            trace_id=span[0].to_bytes(16, "big") if span else b"",
            span_id=span[1].to_bytes(8, "big") if span else b"",
            trace_flags=1,
        )
    ).log_records[0]

    context = (
        set_span_in_context(NonRecordingSpan(SpanContext(*span, False, TraceFlags(1)))) if span else None
    )
    record = ReadableLogRecord(
        LogRecord(
            timestamp=time,
            observed_timestamp=observed,
            context=context,
            severity_number=SeverityNumber(severity),
            attributes=attributes,
            event_name=event_name,
        ),
        resource=Resource({}),
    )
    theirs = encode_logs([record]).resource_logs[0].scope_logs[0].log_records[0]
    theirs.ClearField("body")  # the SDK writes an empty value where there is no body
    assert ours == theirs


def test_dropped_attributes_are_told():
    message = log_message(
        event_name="e",
        severity_number=SEVERITY_INFO,
        time_unix_ns=1,
        observed_unix_ns=1,
        attributes=[],
        dropped_attributes=4,
    )
    assert ScopeLogs.FromString(message).log_records[0].dropped_attributes_count == 4
