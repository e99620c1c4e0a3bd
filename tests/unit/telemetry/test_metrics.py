# SPDX-License-Identifier: Apache-2.0
import threading

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_qtap.telemetry.metrics import AgentMetrics
from otel_qtap.telemetry.observables import Observables
from otel_qtap.telemetry.signal_pipeline import MetricsOutput

DELTA, CUMULATIVE = 1, 2


class Collected:
    def __init__(self):
        self._changed = threading.Condition()
        self.requests = []

    def put(self, request):
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, 10)

    def metrics(self, at=-1):
        [entry] = ExportMetricsServiceRequest.FromString(self.requests[at].body).resource_metrics
        [scope] = entry.scope_metrics
        return {metric.name: metric for metric in scope.metrics}


@pytest.fixture
def collected():
    return Collected()


@pytest.fixture
def metrics_of(collected):
    started = []

    def start(observables, **output):
        values = {"exporter": "console", "interval_ms": 3_600_000} | output
        metrics = AgentMetrics(
            observables=observables,
            resource={"service.name": "otel-qtap"},
            output=MetricsOutput(**values),
            put=collected.put,
        )
        started.append(metrics)
        return metrics

    yield start
    for metrics in started:
        metrics.shutdown(5)


@pytest.fixture
def observables():
    observables = Observables()
    observables.register(
        "qtap.capture.lost",
        lambda: [
            (5, {"qtap.capture.lost.reason": "ring_full"}),
            (6, {"qtap.capture.lost.reason": "unreadable"}),
        ],
    )
    observables.register("qtap.connection.active", lambda: [(3, {})])
    return observables


def test_observables_are_exported_with_their_description(observables, metrics_of, collected):
    metrics_of(observables).collect()

    request = ExportMetricsServiceRequest.FromString(collected.requests[0].body)
    [entry] = request.resource_metrics
    assert [(one.key, one.value.string_value) for one in entry.resource.attributes] == [
        ("service.name", "otel-qtap")
    ]
    assert entry.scope_metrics[0].scope.name == "otel_qtap.agent"
    assert entry.scope_metrics[0].schema_url == "https://opentelemetry.io/schemas/1.44.0"
    lost = collected.metrics()["qtap.capture.lost"]
    assert (lost.unit, lost.description) == ("{event}", "Kernel events that were lost.")
    assert lost.sum.is_monotonic
    points = {point.attributes[0].value.string_value: point.as_int for point in lost.sum.data_points}
    assert points == {"ring_full": 5, "unreadable": 6}
    active = collected.metrics()["qtap.connection.active"]
    assert not active.sum.is_monotonic
    assert [point.as_int for point in active.sum.data_points] == [3]
    assert collected.requests[0].items == 3


def test_export_happens_every_interval(observables, metrics_of, collected):
    metrics_of(observables, interval_ms=20)
    collected.wait_for(2)


def test_shutdown_exports_a_last_time(observables, metrics_of, collected):
    metrics_of(observables).shutdown(5)
    assert len(collected.requests) == 1


@pytest.mark.parametrize(
    ("preference", "asynchronous", "histogram"),
    [
        ("cumulative", CUMULATIVE, CUMULATIVE),
        ("delta", DELTA, DELTA),
        ("lowmemory", CUMULATIVE, DELTA),
    ],
)
def test_temporality_preference(observables, metrics_of, collected, *, preference, asynchronous, histogram):
    metrics = metrics_of(observables, temporality_preference=preference)
    metrics.record_attempt(0.2, {"error.type": "503"})
    metrics.collect()
    told = collected.metrics()
    assert told["qtap.capture.lost"].sum.aggregation_temporality == asynchronous
    assert told["qtap.connection.active"].sum.aggregation_temporality == CUMULATIVE
    duration = told["otel.sdk.exporter.operation.duration"]
    assert duration.histogram.aggregation_temporality == histogram
    assert duration.unit == "s"


@pytest.mark.parametrize(
    ("aggregation", "form"),
    [
        ("explicit_bucket_histogram", "histogram"),
        ("base2_exponential_bucket_histogram", "exponential_histogram"),
    ],
)
def test_histogram_aggregation(observables, metrics_of, collected, aggregation, form):
    metrics = metrics_of(observables, default_histogram_aggregation=aggregation)
    metrics.record_attempt(0.2, {})
    metrics.collect()
    duration = collected.metrics()["otel.sdk.exporter.operation.duration"]
    assert duration.WhichOneof("data") == form
    assert getattr(duration, form).data_points[0].sum == 0.2


def test_room_that_fails_to_count_does_not_stop_the_others(observables, metrics_of, collected):
    def broken():
        raise RuntimeError("no count")

    observables.register("qtap.segment.stored", broken)
    metrics_of(observables).collect()
    assert "qtap.connection.active" in collected.metrics()
