# SPDX-License-Identifier: Apache-2.0
"""What the agent counts, for whoever shows it: OTLP metrics and the /metrics page read the same source.

Rooms keep their own counts; the agent registers, for a described metric, a function that reads them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from otel_qtap.telemetry.catalogue.metrics import METRICS
from otel_qtap.telemetry.catalogue.types import DescribedMetric

Observation = tuple[int | float, Mapping[str, str]]
Read = Callable[[], Iterable[Observation]]

_DESCRIBED: Final = {metric.name: metric for metric in METRICS}


class Observables:
    """The agent's metrics with the functions that read their values. Register before start."""

    def __init__(self) -> None:
        self._reads: dict[str, list[Read]] = {}

    def register(self, name: str, read: Read) -> None:
        """Have ``read`` give the present values of a metric, each with its attributes.

        Counters give totals since the start. Called at each export and each scrape, from other threads.

        Raises:
            KeyError: the metric is not in the catalogue.
        """
        self._reads.setdefault(_DESCRIBED[name].name, []).append(read)

    def metrics(self) -> list[DescribedMetric]:
        """Return the metrics that were registered."""
        return [_DESCRIBED[name] for name in self._reads]

    def observe(self, metric: DescribedMetric) -> Iterator[Observation]:
        """Yield the present values of a registered metric."""
        for read in self._reads[metric.name]:
            yield from read()
