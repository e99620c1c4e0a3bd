# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from otel_qtap.telemetry.otlp.transport import read_partial_success


@pytest.mark.parametrize(
    "response",
    [
        ExportTraceServiceResponse(
            partial_success=ExportTracePartialSuccess(rejected_spans=3, error_message="too old")
        ),
        ExportLogsServiceResponse(
            partial_success=ExportLogsPartialSuccess(rejected_log_records=3, error_message="too old")
        ),
        ExportMetricsServiceResponse(
            partial_success=ExportMetricsPartialSuccess(rejected_data_points=3, error_message="too old")
        ),
    ],
)
def test_rejected_items_and_message_of_each_signal(response):
    assert read_partial_success(response.SerializeToString()) == (3, "too old")


def test_full_success_rejects_nothing():
    assert read_partial_success(b"") == (0, "")
    assert read_partial_success(
        ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess()).SerializeToString()
    ) == (0, "")


@given(st.binary(max_size=50))
def test_any_answer_is_survived(answer):
    rejected, message = read_partial_success(answer)
    assert rejected >= 0
    assert isinstance(message, str)
