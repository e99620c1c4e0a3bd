# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from otel_qtap.agent.otlp_target import otlp_target
from otel_qtap.errors import SettingsError
from otel_qtap.settings import load_settings
from tests.support.pki import Pki


def test_each_signal_goes_where_its_variables_say(pki: Pki) -> None:
    settings = load_settings(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.test:4318",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=k",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(pki.ca),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(pki.client.certificate),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(pki.client.key),
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc",
        }
    )
    traces, logs = otlp_target(settings.traces), otlp_target(settings.logs)

    assert (traces.endpoint, traces.protocol) == ("https://collector.test:4318/v1/traces", "http/protobuf")
    assert (logs.endpoint, logs.protocol) == ("https://collector.test:4318", "grpc")
    assert traces.headers == (("api-key", "k"),)
    assert (traces.compression, traces.timeout_seconds, traces.insecure) == ("gzip", 2.5, False)
    assert traces.ca_certificate == pki.ca.read_bytes()
    assert traces.client_certificate == pki.client.certificate.read_bytes()
    assert traces.client_key == pki.client.key.read_bytes()


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path, pki: Pki) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_bytes(pki.ca.read_bytes())
    settings = load_settings(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.test:4318",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificate),
        }
    )
    certificate.unlink()

    with pytest.raises(SettingsError, match=r"ca\.pem.*OTEL_EXPORTER_OTLP_.*CERTIFICATE.*No such file"):
        otlp_target(settings.traces)
