# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from otel_qtap import __version__
from otel_qtap.agent.introduction import introduction
from otel_qtap.settings import load_settings


def told(environment: dict[str, str], record_to: Path | None = None) -> list[str]:
    return list(introduction(load_settings(environment), environment, record_to))


def test_defaults_are_told() -> None:
    assert told({}) == [
        f"otel-qtap {__version__}: all settings at their defaults",
        "capturing all processes, bodies of up to 8 MiB",
        "spans, log events and metrics go to http://localhost:4318 (http/protobuf)",
        "payloads go to file:///var/lib/otel-qtap/objects",
    ]


def test_what_was_given_is_told_by_name_and_effect() -> None:
    assert told(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.test:4317",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_QTAP_OBJECTS_URL": "s3://payloads/here",
            "OTEL_QTAP_CAPTURE_INCLUDE": "nginx,user=www-*",
            "OTEL_QTAP_CAPTURE_EXCLUDE": "comm=curl",
            "OTEL_UNHEARD_OF": "1",
            "AWS_ENDPOINT_URL_S3": "https://key:secret@s3.test:9000/",
        }
    ) == [
        f"otel-qtap {__version__}: OTEL_QTAP_OBJECTS_URL, OTEL_QTAP_CAPTURE_INCLUDE, "
        "OTEL_QTAP_CAPTURE_EXCLUDE, OTEL_METRICS_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT, "
        "OTEL_EXPORTER_OTLP_PROTOCOL given, the others at their defaults; not read by it: OTEL_UNHEARD_OF",
        "capturing processes with exe=nginx, user=www-* but those with comm=curl, bodies of up to 8 MiB",
        "spans and log events go to https://collector.test:4317 (grpc); metrics go nowhere",
        "payloads go to s3://payloads/here at https://s3.test:9000",
    ]


def test_no_secret_is_told() -> None:
    lines = told(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.test/hunter2",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hunter2",
            "OTEL_QTAP_OBJECTS_URL": "none:",
        }
    )
    assert "hunter2" not in "\n".join(lines)
    assert lines[-1] == "payloads are not kept"


def test_signals_may_go_to_different_places() -> None:
    lines = told(
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs.test/x"}
    )
    assert lines[2] == (
        "spans go to standard output; log events go to http://logs.test (http/protobuf); "
        "metrics go to http://localhost:4318 (http/protobuf)"
    )


def test_recorder_tells_its_file_and_nothing_else() -> None:
    lines = told({"OTEL_QTAP_CAPTURE_INCLUDE": "curl"}, Path("/tmp/events"))
    assert lines[1:] == [
        "recording processes with exe=curl to /tmp/events, in plaintext; nothing is exported or stored"
    ]
