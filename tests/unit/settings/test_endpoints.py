# SPDX-License-Identifier: Apache-2.0
"""The rules of https://opentelemetry.io/docs/specs/otel/protocol/exporter/, one by one."""

from pathlib import Path

import pytest

from otel_qtap.errors import SettingsError
from otel_qtap.settings import SignalExport, load_settings
from otel_qtap.settings.endpoints import NO_LIMIT_SECONDS

PREFIX = "OTEL_EXPORTER_OTLP_"


def traces(**variables: str) -> SignalExport:
    return load_settings({PREFIX + name: value for name, value in variables.items()}).traces


def test_defaults() -> None:
    settings = load_settings({})

    assert settings.traces == SignalExport(
        exporter="otlp",
        protocol="http/protobuf",
        endpoint="http://localhost:4318/v1/traces",
        headers={},
        timeout_seconds=10.0,
        compression="none",
        certificate_path=None,
        client_certificate_path=None,
        client_key_path=None,
        insecure=True,
    )
    assert settings.metrics.endpoint == "http://localhost:4318/v1/metrics"
    assert settings.logs.endpoint == "http://localhost:4318/v1/logs"


@pytest.mark.parametrize(
    ("variables", "endpoint", "insecure"),
    [
        ({"ENDPOINT": "https://collector:4318"}, "https://collector:4318/v1/traces", False),
        ({"ENDPOINT": "http://collector:4318/"}, "http://collector:4318/v1/traces", True),
        ({"ENDPOINT": "http://collector/otel/"}, "http://collector/otel/v1/traces", True),
        ({"TRACES_ENDPOINT": "https://collector/in"}, "https://collector/in", False),
        ({"TRACES_ENDPOINT": "https://collector"}, "https://collector", False),
        ({"ENDPOINT": "http://a", "TRACES_ENDPOINT": "http://b/t"}, "http://b/t", True),
        ({"ENDPOINT": "http://[::1]:4318"}, "http://[::1]:4318/v1/traces", True),
        ({"PROTOCOL": "http/json"}, "http://localhost:4318/v1/traces", True),
        ({"PROTOCOL": "grpc"}, "http://localhost:4317", True),
        ({"PROTOCOL": "grpc", "ENDPOINT": "https://collector:4317"}, "https://collector:4317", False),
        ({"PROTOCOL": "grpc", "ENDPOINT": "collector:4317"}, "collector:4317", False),
        ({"PROTOCOL": "grpc", "ENDPOINT": "collector:4317", "INSECURE": "true"}, "collector:4317", True),
        ({"PROTOCOL": "grpc", "ENDPOINT": "https://c:1", "INSECURE": "true"}, "https://c:1", False),
        ({"TRACES_PROTOCOL": "grpc"}, "http://localhost:4317", True),
    ],
)
def test_where_spans_go(variables: dict[str, str], endpoint: str, insecure: bool) -> None:
    export = traces(**variables)

    assert (export.endpoint, export.insecure) == (endpoint, insecure)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"ENDPOINT": "collector:4318"}, "ENDPOINT wants an http:// or https:// URL; it holds 14 characters"),
        ({"ENDPOINT": "ftp://collector"}, "another scheme"),
        ({"ENDPOINT": "http://"}, "without a host"),
        ({"ENDPOINT": "http://collector:port"}, "malformed"),
        ({"ENDPOINT": "http://[::1"}, "malformed"),
        ({"ENDPOINT": "http://user:hunter2@collector"}, "HEADERS"),
        ({"ENDPOINT": "http://collector/?token=hunter2"}, "query"),
        ({"PROTOCOL": "grpc", "ENDPOINT": "collector"}, "HOST:PORT"),
        ({"TRACES_ENDPOINT": "collector"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT wants"),
    ],
)
def test_endpoints_that_cannot_be_used_are_refused(variables: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        traces(**variables)

    assert complaint in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_a_signal_takes_what_is_set_for_it_before_what_is_set_for_all() -> None:
    settings = load_settings(
        {
            f"{PREFIX}HEADERS": "a=general,b=general",
            f"{PREFIX}LOGS_HEADERS": "a=logs",
            f"{PREFIX}TIMEOUT": "2500",
            f"{PREFIX}LOGS_TIMEOUT": "0",
            f"{PREFIX}COMPRESSION": "gzip",
            f"{PREFIX}LOGS_COMPRESSION": "none",
        }
    )

    assert settings.traces.headers == {"a": "general", "b": "general"}
    assert settings.logs.headers == {"a": "logs"}
    assert (settings.traces.timeout_seconds, settings.logs.timeout_seconds) == (2.5, NO_LIMIT_SECONDS)
    assert (settings.traces.compression, settings.logs.compression) == ("gzip", "none")


def test_a_client_certificate_and_its_key_come_together(tmp_path: Path) -> None:
    pem = tmp_path / "client.pem"
    pem.write_text("")

    export = traces(CLIENT_CERTIFICATE=str(pem), CLIENT_KEY=str(pem), CERTIFICATE=str(pem))
    assert (export.client_certificate_path, export.client_key_path, export.certificate_path) == (
        pem,
        pem,
        pem,
    )
    with pytest.raises(SettingsError, match="CLIENT_CERTIFICATE needs OTEL_EXPORTER_OTLP_CLIENT_KEY"):
        traces(CLIENT_CERTIFICATE=str(pem))
    with pytest.raises(SettingsError, match="CLIENT_KEY needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"):
        traces(TRACES_CLIENT_KEY=str(pem))


def test_a_disabled_sdk_exports_nothing() -> None:
    settings = load_settings({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "console"})

    assert [settings.traces.exporter, settings.metrics.exporter, settings.logs.exporter] == ["none"] * 3


def test_what_is_printed_of_an_export_holds_no_header_value() -> None:
    assert "hunter2" not in repr(traces(HEADERS="authorization=hunter2"))
