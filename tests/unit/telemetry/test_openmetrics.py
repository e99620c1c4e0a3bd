# SPDX-License-Identifier: Apache-2.0
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel_qtap.telemetry.catalogue.metrics import METRICS
from otel_qtap.telemetry.observables import Observables
from otel_qtap.telemetry.openmetrics import (
    CONTENT_TYPE,
    TEXT_CONTENT_TYPE,
    metrics_page,
    render_openmetrics,
)


def test_counters_gauges_units_and_labels():
    observables = Observables()
    observables.register("qtap.stream.io", lambda: [(12, {})])
    observables.register("qtap.connection.active", lambda: [(3, {})])
    observables.register(
        "qtap.capture.lost",
        lambda: [
            (1, {"qtap.capture.lost.reason": "ring_full"}),
            (2, {"qtap.capture.lost.reason": 'a"b\\c\n'}),
        ],
    )
    observables.register("process.cpu.time", lambda: [(0.25, {"cpu.mode": "user"})])

    assert render_openmetrics(observables).splitlines() == [
        "# TYPE qtap_stream_io_bytes counter",
        "# UNIT qtap_stream_io_bytes bytes",
        "# HELP qtap_stream_io_bytes Plaintext bytes put in order.",
        "qtap_stream_io_bytes_total 12",
        "# TYPE qtap_connection_active gauge",
        "# HELP qtap_connection_active Connections tracked now.",
        "qtap_connection_active 3",
        "# TYPE qtap_capture_lost counter",
        "# HELP qtap_capture_lost Kernel events that were lost.",
        'qtap_capture_lost_total{qtap_capture_lost_reason="ring_full"} 1',
        'qtap_capture_lost_total{qtap_capture_lost_reason="a\\"b\\\\c\\n"} 2',
        "# TYPE process_cpu_time_seconds counter",
        "# UNIT process_cpu_time_seconds seconds",
        "# HELP process_cpu_time_seconds CPU time of the process.",
        'process_cpu_time_seconds_total{cpu_mode="user"} 0.25',
        "# EOF",
    ]


def test_nothing_registered_is_still_a_page():
    assert render_openmetrics(Observables()) == "# EOF\n"


NASTY = 'a"b\\c\nd'


@pytest.fixture
def everything() -> Observables:
    """Each metric of the catalogue, with all its labels."""
    observables = Observables()
    for metric in METRICS:
        if metric.instrument != "histogram":
            labels = dict.fromkeys(metric.attributes, NASTY)
            observables.register(metric.name, lambda labels=labels: [(7, labels)])
    return observables


def test_all_metrics_pass_a_real_parser_of_openmetrics(everything: Observables) -> None:
    families = list(parse_openmetrics(metrics_page(everything, "").text))

    assert len(families) == len(everything.metrics())
    for family in families:
        (sample,) = family.samples
        assert sample.name == family.name + ("_total" if family.type == "counter" else "")
        assert not family.unit or family.name.endswith(f"_{family.unit}")
        assert set(sample.labels.values()) <= {NASTY}


def test_all_metrics_pass_a_real_parser_of_the_older_format(everything: Observables) -> None:
    page = metrics_page(everything, "text/plain")
    families = list(parse_text(page.text))

    assert len(families) == len(everything.metrics())
    assert {family.type for family in families} == {"counter", "gauge"}
    assert "# EOF" not in page.text


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", CONTENT_TYPE),
        ("*/*", CONTENT_TYPE),
        (PROMETHEUS, CONTENT_TYPE),
        ("text/html,application/xhtml+xml,*/*;q=0.8", CONTENT_TYPE),
        ("text/plain", TEXT_CONTENT_TYPE),
        ("Text/Plain;version=0.0.4;q=0.5, */*;q=0.1", TEXT_CONTENT_TYPE),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", TEXT_CONTENT_TYPE),
        ("text/plain;q=x", CONTENT_TYPE),
        (",;,q=1", CONTENT_TYPE),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept: str, content_type: str) -> None:
    assert metrics_page(Observables(), accept).content_type == content_type
