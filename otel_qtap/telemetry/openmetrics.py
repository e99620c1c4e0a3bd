# SPDX-License-Identifier: Apache-2.0
"""The /metrics page, by the OpenTelemetry rules for Prometheus names.

OpenMetrics 1.0, or the older text format of Prometheus (0.0.4) for who asks for that and not for the other.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from otel_qtap.telemetry.catalogue.types import DescribedMetric
from otel_qtap.telemetry.observables import Observables

CONTENT_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_UNITS: Final = {"By": "bytes", "s": "seconds"}


class MetricsPage(NamedTuple):
    """What /metrics answers."""

    content_type: str
    text: str


def metrics_page(observables: Observables, accept: str) -> MetricsPage:
    """Return the page in the format that a request's ``Accept`` field prefers; by default OpenMetrics."""
    if _quality(accept, "text/plain") > _quality(accept, "application/openmetrics-text"):
        return MetricsPage(TEXT_CONTENT_TYPE, _render(observables, openmetrics=False))
    return MetricsPage(CONTENT_TYPE, render_openmetrics(observables))


def render_openmetrics(observables: Observables) -> str:
    """Return the present values of all metrics as OpenMetrics text."""
    return _render(observables, openmetrics=True)


def _render(observables: Observables, *, openmetrics: bool) -> str:
    lines: list[str] = []
    for metric in observables.metrics():
        family, unit = _family(metric)
        counter = metric.instrument == "counter"
        sample = f"{family}_total" if counter else family
        # The older format knows no families: what is described there is the sample.
        described = family if openmetrics else sample
        lines.append(f"# TYPE {described} {'counter' if counter else 'gauge'}")
        if unit and openmetrics:
            lines.append(f"# UNIT {described} {unit}")
        lines.append(f"# HELP {described} {_escape(metric.description)}")
        lines += [
            f"{sample}{_labels(attributes)} {value}" for value, attributes in observables.observe(metric)
        ]
    if openmetrics:
        lines.append("# EOF")
    return "\n".join((*lines, ""))


def _quality(accept: str, media_type: str) -> float:
    """How much a type is wanted, from 0 to 1 (RFC 9110, section 12.5.1); 0 where it is not named itself."""
    best = 0.0
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name == media_type:
            weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
            try:
                best = max(best, float(weight))
            except ValueError:
                continue
    return best


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
