# SPDX-License-Identifier: Apache-2.0
"""Defaults and meanings of the specification's environment variables."""

import pytest

from otel_qtap.errors import SettingsError
from otel_qtap.settings import load_settings


def test_defaults_are_those_of_the_specification() -> None:
    standard = load_settings({}).standard

    assert standard.propagators == ("tracecontext", "baggage")
    assert (standard.traces_sampler, standard.traces_sampler_arg) == ("parentbased_always_on", 1.0)
    assert (
        standard.bsp_schedule_delay,
        standard.bsp_export_timeout,
        standard.bsp_max_queue_size,
        standard.bsp_max_export_batch_size,
    ) == (5000, 30000, 2048, 512)
    assert (
        standard.blrp_schedule_delay,
        standard.blrp_export_timeout,
        standard.blrp_max_queue_size,
        standard.blrp_max_export_batch_size,
    ) == (1000, 30000, 2048, 512)
    assert (standard.metric_export_interval, standard.metric_export_timeout) == (60000, 30000)
    assert standard.span_attribute_limits() == standard.logrecord_attribute_limits() == (128, None)
    assert (standard.span_event_count_limit, standard.span_link_count_limit) == (128, 128)
    assert standard.exporter_otlp_metrics_temporality_preference == "cumulative"


def test_limits_of_spans_and_log_events_fall_back_to_the_general_ones() -> None:
    standard = load_settings(
        {
            "OTEL_ATTRIBUTE_COUNT_LIMIT": "64",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "1000",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0",
            "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": "10",
        }
    ).standard

    assert standard.span_attribute_limits() == (0, 1000)
    assert standard.logrecord_attribute_limits() == (64, 10)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"OTEL_PROPAGATORS": "none,b3"}, "none alone"),
        ({"OTEL_PROPAGATORS": "jaeger"}, "OTEL_PROPAGATORS wants"),
        ({"OTEL_PROPAGATORS": "b3,jaeger"}, "9 characters, not all of these words"),
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "OTEL_TRACES_SAMPLER wants one of always_on"),
        ({"OTEL_TRACES_SAMPLER_ARG": "1.5"}, "OTEL_TRACES_SAMPLER_ARG wants a ratio"),
        ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096"}, "OTEL_BSP_MAX_QUEUE_SIZE"),
        ({"OTEL_BLRP_MAX_QUEUE_SIZE": "100"}, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, "one of otlp, console, none"),
        ({"OTEL_SDK_DISABLED": "1"}, "true or false"),
        ({"OTEL_BSP_SCHEDULE_DELAY": "99999999999"}, "a larger one"),
        ({"OTEL_SPAN_LINK_COUNT_LIMIT": "99999999999"}, "a larger one"),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "99999999999"}, "a larger one"),
        ({"OTEL_TRACES_SAMPLER_ARG": "nan"}, "OTEL_TRACES_SAMPLER_ARG"),
        ({"OTEL_QTAP_TRACE_ADOPTION_SECONDS": "inf"}, "a larger one"),
        ({"OTEL_BSP_SCHEDULE_DELAY": "5s"}, "milliseconds"),
    ],
)
def test_values_without_a_meaning_are_refused(variables: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        load_settings(variables)


def test_all_contradictions_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings({"OTEL_PROPAGATORS": "none,b3", "OTEL_BSP_MAX_QUEUE_SIZE": "1"})

    assert [line.split()[0] for line in str(refusal.value).splitlines()] == [
        "OTEL_PROPAGATORS",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    ]


def test_words_are_read_in_any_case() -> None:
    settings = load_settings({"OTEL_PROPAGATORS": "B3Multi, XRAY", "OTEL_LOGS_EXPORTER": "Console"})

    assert settings.standard.propagators == ("b3multi", "xray")
    assert settings.logs.exporter == "console"


def test_header_lists_of_both_kinds_of_variable_are_joined() -> None:
    settings = load_settings(
        {
            "OTEL_QTAP_HTTP_REQUEST_HEADERS": "X-Request-Id",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-request-id,Via",
        }
    )

    assert settings.allowed_headers("server", "request") == ("x-request-id", "via")
    assert settings.allowed_headers("client", "request") == ("x-request-id",)
    assert settings.allowed_headers("server", "response") == ()
