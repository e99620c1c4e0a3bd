# SPDX-License-Identifier: Apache-2.0
"""The agent's own metrics over OTLP: the OpenTelemetry SDK collects, our transport sends.

The SDK is the heaviest library of this room; only this module imports it, and ``exporting`` imports
this module only when metrics are exported.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    MeterProvider,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource

from otel_qtap import __version__
from otel_qtap.model.exchange import Attributes
from otel_qtap.telemetry import names
from otel_qtap.telemetry.catalogue.types import DescribedMetric
from otel_qtap.telemetry.observables import Observables
from otel_qtap.telemetry.otlp.requests import ExportRequest
from otel_qtap.telemetry.signal_pipeline import MetricsOutput

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_DELTA: Final = AggregationTemporality.DELTA
_SUMS: Final = (Counter, Histogram, ObservableCounter)
_STATES: Final = (UpDownCounter, ObservableUpDownCounter, ObservableGauge)


def temporality(preference: str) -> dict[type, AggregationTemporality]:
    """Temporality of each instrument (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE).

    ``delta`` is for what only grows; ``lowmemory`` leaves asynchronous counters cumulative, too.
    """
    sums = _CUMULATIVE if preference == "cumulative" else _DELTA
    chosen: dict[type, AggregationTemporality] = dict.fromkeys(_STATES, _CUMULATIVE)
    chosen.update(dict.fromkeys(_SUMS, sums))
    if preference == "lowmemory":
        chosen[ObservableCounter] = _CUMULATIVE
    return chosen


class _SpoolExporter(MetricExporter):
    """Encodes what the SDK collected and hands it over; delivery is the sender's business."""

    def __init__(self, output: MetricsOutput, put: Callable[[ExportRequest], None]) -> None:
        super().__init__(
            preferred_temporality=temporality(output.temporality_preference),
            preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()}
            if output.default_histogram_aggregation == "base2_exponential_bucket_histogram"
            else None,
        )
        self._put = put

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        points = sum(
            len(metric.data.data_points)
            for entry in metrics_data.resource_metrics
            for scope in entry.scope_metrics
            for metric in scope.metrics
        )
        if points:
            self._put(ExportRequest(encode_metrics(metrics_data).SerializeToString(), points))
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass


class AgentMetrics:
    """Collects ``observables`` every interval and puts them, encoded, where ``put`` says.

    The SDK starts its thread on construction: construct this where threads may be started.
    """

    def __init__(
        self,
        *,
        observables: Observables,
        resource: Attributes,
        output: MetricsOutput,
        put: Callable[[ExportRequest], None],
    ) -> None:
        reader = PeriodicExportingMetricReader(
            _SpoolExporter(output, put),
            export_interval_millis=output.interval_ms,
            export_timeout_millis=output.export_timeout_ms,
        )
        self._provider = MeterProvider(
            metric_readers=[reader],
            resource=Resource(resource, names.SCHEMA_URL),
            shutdown_on_exit=False,
        )
        meter = self._provider.get_meter(
            names.SCOPE_PREFIX + names.AGENT_SCOPE, __version__, names.SCHEMA_URL
        )
        for metric in observables.metrics():
            _create(meter, metric, observables)
        duration = names.METRIC_OPERATION_DURATION
        self._durations = meter.create_histogram(duration, "s", "Time of each attempt to send a request.")

    def record_attempt(self, seconds: float, attributes: Attributes) -> None:
        """Record how long one attempt to send took."""
        self._durations.record(seconds, attributes)

    def collect(self) -> None:
        """Collect and export now."""
        self._provider.force_flush()

    def shutdown(self, timeout_seconds: float) -> None:
        """Collect and export a last time, then stop the thread."""
        self._provider.shutdown(timeout_millis=timeout_seconds * 1000)


def _create(meter: Meter, metric: DescribedMetric, observables: Observables) -> None:
    def callback(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, dict(attributes)) for value, attributes in observables.observe(metric)]

    create = {
        "counter": meter.create_observable_counter,
        "updowncounter": meter.create_observable_up_down_counter,
        "gauge": meter.create_observable_gauge,
    }[metric.instrument]
    create(metric.name, [callback], unit=metric.unit, description=metric.description)
