# SPDX-License-Identifier: Apache-2.0
"""What becomes different between two loads of settings, and what that takes."""

import pytest

from otel_qtap.agent.reload import AT_ONCE, Change, compare
from otel_qtap.settings import load_settings
from otel_qtap.settings.catalog import qtap_variables, standard_variables

BEFORE = {"OTEL_QTAP_OBJECTS_URL": "s3://bucket", "OTEL_QTAP_CAPTURE_INCLUDE": "curl"}


def change(**after: str) -> Change:
    return compare(load_settings(BEFORE), load_settings({**BEFORE, **after}))


def test_nothing() -> None:
    nothing = change()

    assert (nothing.applied, nothing.waiting, nothing.takes_pipeline) == ((), (), False)
    assert nothing.settings == load_settings(BEFORE)


def test_the_same_value_written_otherwise_is_no_change() -> None:
    assert change(OTEL_QTAP_OBJECTS_SEGMENT_BYTES="16MiB").applied == ()


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("OTEL_QTAP_CAPTURE_INCLUDE", "nginx", "capture.include"),
        ("OTEL_QTAP_CAPTURE_EXCLUDE", "nginx", "capture.exclude"),
        ("OTEL_QTAP_LOG_LEVEL", "debug", "log.level"),
        ("OTEL_QTAP_LOG_FORMAT", "text", "log.format"),
        ("OTEL_LOG_LEVEL", "warn", "otel.log_level"),
    ],
)
def test_what_applies_at_once(variable: str, value: str, key: str) -> None:
    at_once = change(**{variable: value})

    assert (at_once.applied, at_once.takes_pipeline) == ((key,), False)


def test_what_takes_another_pipeline() -> None:
    another = change(OTEL_QTAP_OBJECTS_URL="none:", OTEL_QTAP_CAPTURE_MAX_BODY_BYTES="1MiB")

    assert another.applied == ("objects.url", "capture.max_body_bytes")
    assert another.takes_pipeline
    assert another.settings.objects.url == "none:"


def test_what_waits_for_a_restart_keeps_its_value_and_holds_nothing_else_up() -> None:
    mixed = change(
        OTEL_QTAP_CAPTURE_RING_BYTES="64MiB",
        OTEL_QTAP_CAPTURE_ATTACH="perf",
        OTEL_QTAP_HEALTH_ADDRESS="127.0.0.1:1",
        OTEL_QTAP_CAPTURE_INCLUDE="nginx",
    )

    assert mixed.waiting == ("capture.ring_bytes", "capture.attach", "health.address")
    assert mixed.applied == ("capture.include",)
    assert not mixed.takes_pipeline
    before = load_settings(BEFORE)
    assert mixed.settings.health == before.health
    assert (mixed.settings.capture.ring_bytes, mixed.settings.capture.attach) == (0, "auto")
    assert str(mixed.settings.capture.include[0]) == "exe=nginx"


def test_secrets_and_what_follows_from_general_variables_go_by_name_only() -> None:
    applied = change(OTEL_EXPORTER_OTLP_HEADERS="authorization=hunter2").applied

    assert applied == (
        "otel.exporter_otlp_headers",
        "otel.exporter_otlp_traces_headers",
        "otel.exporter_otlp_metrics_headers",
        "otel.exporter_otlp_logs_headers",
    )


def test_settings_of_the_viewer_are_none_of_the_agents_business() -> None:
    assert change(OTEL_QTAP_SERVE_ADDRESS="127.0.0.1:9").applied == ()


def test_names_are_of_settings() -> None:
    assert {v.key for v in (*qtap_variables(), *standard_variables())} >= AT_ONCE
