# SPDX-License-Identifier: Apache-2.0
"""What a counting collector made of the spans that it got: its span metrics and its service graph."""

from tests.support.otlp_records import Telemetry


def counted_spans(telemetry: Telemetry, service: str) -> dict[str, float]:
    """Spans of a service by kind, of those that are one end of a call: CLIENT and SERVER."""
    counts: dict[str, dict[str, float]] = {"SPAN_KIND_CLIENT": {}, "SPAN_KIND_SERVER": {}}
    for point in telemetry.points:
        if point.name == "traces.span.metrics.calls" and point.attributes.get("service.name") == service:
            series = counts.get(str(point.attributes.get("span.kind")))
            if series is not None:
                series[_series(point.resource, point.attributes)] = point.value  # the latest stays
    return {kind: sum(series.values()) for kind, series in counts.items() if series}


def edges(telemetry: Telemetry, *services: str) -> dict[tuple[str, str], float]:
    """Calls by (calling, called) service, of edges with any of ``services``."""
    latest = {}
    for point in telemetry.points:
        if point.name == "traces_service_graph_request_total":
            ends = (str(point.attributes["client"]), str(point.attributes["server"]))
            if set(ends) & set(services):
                latest[_series(point.resource, point.attributes)] = (ends, point.value)
    counts: dict[tuple[str, str], float] = {}
    for ends, count in latest.values():
        counts[ends] = counts.get(ends, 0) + count
    return counts


def _series(*attributes: dict[str, object]) -> str:
    return repr([sorted(one.items()) for one in attributes])
