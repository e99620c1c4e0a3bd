# SPDX-License-Identifier: Apache-2.0
"""The /metrics page: OpenMetrics 1.0 text, by the OpenTelemetry rules for Prometheus names."""

from collections.abc import Mapping
from typing import Final

from otel_qtap.telemetry.catalogue.types import DescribedMetric
from otel_qtap.telemetry.observables import Observables

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_UNITS: Final = {"By": "bytes", "s": "seconds"}


def render_openmetrics(observables: Observables) -> str:
    """Return the present values of all metrics as OpenMetrics text."""
    lines: list[str] = []
    for metric in observables.metrics():
        family, unit = _family(metric)
        counter = metric.instrument == "counter"
        lines.append(f"# TYPE {family} {'counter' if counter else 'gauge'}")
        if unit:
            lines.append(f"# UNIT {family} {unit}")
        lines.append(f"# HELP {family} {_escape(metric.description)}")
        sample = f"{family}_total" if counter else family
        lines += [
            f"{sample}{_labels(attributes)} {value}" for value, attributes in observables.observe(metric)
        ]
    lines.append("# EOF\n")
    return "\n".join(lines)


def _family(metric: DescribedMetric) -> tuple[str, str]:
    """Return the metric's name for Prometheus, with its unit as suffix, and the unit; "" without one."""
    name = metric.name.replace(".", "_")
    unit = _UNITS.get(metric.unit, "")
    return (f"{name}_{unit}" if unit else name), unit


def _labels(attributes: Mapping[str, str]) -> str:
    if not attributes:
        return ""
    inner = ",".join(f'{key.replace(".", "_")}="{_escape(value)}"' for key, value in attributes.items())
    return f"{{{inner}}}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
