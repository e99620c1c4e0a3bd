# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.telemetry.otlp.target import OtlpTarget


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("https://user:secret@collector:4318/v1/traces?token=secret", "https://collector:4318"),
        ("http://collector/v1/traces", "http://collector"),
        ("http://[::1]:4317", "http://[::1]:4317"),
        ("collector:4317", "collector:4317"),
    ],
)
def test_display_name_has_no_secret(endpoint, shown):
    assert OtlpTarget(protocol="grpc", endpoint=endpoint).display_name == shown


def test_representation_has_no_secret():
    target = OtlpTarget(
        protocol="grpc",
        endpoint="collector:4317",
        headers=(("authorization", "secret"),),
        client_key=b"secret",
    )
    assert "secret" not in repr(target)
