# SPDX-License-Identifier: Apache-2.0
from otel_qtap.telemetry.observables import Observables
from otel_qtap.telemetry.openmetrics import render_openmetrics


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
