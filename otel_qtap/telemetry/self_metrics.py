# SPDX-License-Identifier: Apache-2.0
"""This room's counts as metrics, under the names that the conventions give an SDK's own (``otel.sdk.*``)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from otel_qtap.telemetry.observables import Observables, Observation
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.signal_pipeline import SignalStatistics

_ITEM: Final = {Signal.TRACES: "span", Signal.LOGS: "log", Signal.METRICS: "metric_data_point"}
_QUEUE_FULL: Final = "queue_full"

Statistics = Callable[[], SignalStatistics]


def exporter_component(signal: Signal) -> dict[str, str]:
    """Attributes that name the exporter of one signal."""
    return _component("qtap_otlp_exporter", signal)


def _component(kind: str, signal: Signal) -> dict[str, str]:
    return {"otel.component.type": kind, "otel.component.name": f"{kind}/{signal}"}


def register_exporter(observables: Observables, signal: Signal, statistics: Statistics) -> None:
    """Register what the exporter of one signal counts."""
    component = exporter_component(signal)
    prefix = f"otel.sdk.exporter.{_ITEM[signal]}"
    observables.register(f"{prefix}.inflight", lambda: [(statistics().spooled, component)])
    observables.register(f"{prefix}.exported", lambda: _exported(statistics(), component))
    observables.register("qtap.export.retries", lambda: [(statistics().retries, component)])


def register_processor(observables: Observables, signal: Signal, statistics: Statistics) -> None:
    """Register what the batch queue of one signal counts."""
    component = _component("qtap_batching_processor", signal)
    prefix = f"otel.sdk.processor.{_ITEM[signal]}"
    observables.register(f"{prefix}.queue.size", lambda: [(statistics().queue_size, component)])
    observables.register(f"{prefix}.queue.capacity", lambda: [(statistics().queue_capacity, component)])
    observables.register(f"{prefix}.processed", lambda: _processed(statistics(), component))


def _exported(statistics: SignalStatistics, component: Mapping[str, str]) -> Iterable[Observation]:
    yield statistics.exported, component
    if statistics.rejected:
        yield statistics.rejected, {**component, "error.type": "rejected"}
    for reason, count in statistics.dropped.items():
        if reason != _QUEUE_FULL:
            yield count, {**component, "error.type": reason}


def _processed(statistics: SignalStatistics, component: Mapping[str, str]) -> Iterable[Observation]:
    yield statistics.queued, component
    if dropped := statistics.dropped.get(_QUEUE_FULL):
        yield dropped, {**component, "error.type": _QUEUE_FULL}
