# SPDX-License-Identifier: Apache-2.0
from otel_qtap.telemetry.observables import Observables
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.self_metrics import register_exporter, register_processor
from otel_qtap.telemetry.signal_pipeline import SignalStatistics

STATISTICS = SignalStatistics(
    spooled=4,
    exported=10,
    rejected=2,
    retries=3,
    dropped={"queue_full": 7, "400": 5},
    healthy=True,
    last_error="",
    queued=21,
    queue_size=1,
    queue_capacity=2048,
)


def values(observables):
    return {
        (metric.name, attributes.get("error.type", "")): value
        for metric in observables.metrics()
        for value, attributes in observables.observe(metric)
    }


def test_exporter_and_processor_of_spans():
    observables = Observables()
    register_exporter(observables, Signal.TRACES, lambda: STATISTICS)
    register_processor(observables, Signal.TRACES, lambda: STATISTICS)
    assert values(observables) == {
        ("otel.sdk.exporter.span.inflight", ""): 4,
        ("otel.sdk.exporter.span.exported", ""): 10,
        ("otel.sdk.exporter.span.exported", "rejected"): 2,
        ("otel.sdk.exporter.span.exported", "400"): 5,
        ("qtap.export.retries", ""): 3,
        ("otel.sdk.processor.span.queue.size", ""): 1,
        ("otel.sdk.processor.span.queue.capacity", ""): 2048,
        ("otel.sdk.processor.span.processed", ""): 21,
        ("otel.sdk.processor.span.processed", "queue_full"): 7,
    }


def test_every_signal_has_its_names():
    observables = Observables()
    for signal in Signal:
        register_exporter(observables, signal, lambda: STATISTICS)
    register_processor(observables, Signal.LOGS, lambda: STATISTICS)
    names = {metric.name for metric in observables.metrics()}
    assert {"otel.sdk.exporter.log.exported", "otel.sdk.exporter.metric_data_point.exported"} <= names
    retries = next(metric for metric in observables.metrics() if metric.name == "qtap.export.retries")
    assert {attributes["otel.component.name"] for _, attributes in observables.observe(retries)} == {
        "qtap_otlp_exporter/traces",
        "qtap_otlp_exporter/logs",
        "qtap_otlp_exporter/metrics",
    }
