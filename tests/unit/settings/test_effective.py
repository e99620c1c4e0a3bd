# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

from otel_qtap.settings import load_settings
from otel_qtap.settings.effective import EffectiveSetting, as_text, effective_settings


def effective(**environ: str) -> dict[str, EffectiveSetting]:
    return {setting.name: setting for setting in effective_settings(load_settings(environ))}


def test_values_in_force_and_their_origin() -> None:
    shown = effective(OTEL_QTAP_CAPTURE_INCLUDE="curl,user=x", OTEL_EXPORTER_OTLP_ENDPOINT="https://c")

    assert shown["OTEL_QTAP_CAPTURE_INCLUDE"].value == ["exe=curl", "user=x"]
    assert shown["OTEL_QTAP_CAPTURE_INCLUDE"].origin == "OTEL_QTAP_CAPTURE_INCLUDE"
    assert shown["OTEL_QTAP_HEALTH_ADDRESS"].value == "127.0.0.1:13133"
    assert shown["OTEL_QTAP_HEALTH_ADDRESS"].origin == "default"
    assert shown["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].value == "https://c/v1/traces"
    assert shown["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].origin == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert shown["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"].value == 10000


def test_secrets_are_masked_and_their_names_are_not(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("hunter2")
    shown = effective(
        OTEL_EXPORTER_OTLP_HEADERS="authorization=hunter2",
        OTEL_QTAP_OBJECTS_SSE="aws:kms",
        OTEL_QTAP_OBJECTS_SSE_KMS_KEY_ID="hunter2",
        OTEL_EXPORTER_OTLP_CLIENT_KEY=str(key),
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=str(key),
    )

    assert shown["OTEL_EXPORTER_OTLP_LOGS_HEADERS"].value == {"authorization": "****"}
    assert shown["OTEL_QTAP_OBJECTS_SSE_KMS_KEY_ID"].value == "****"
    assert "hunter2" not in json.dumps([setting.value for setting in shown.values()])


def test_text_is_what_the_variable_takes() -> None:
    environ = {
        "OTEL_QTAP_CAPTURE_INCLUDE": "exe=curl,user=x",
        "OTEL_QTAP_TRACE_IGNORE_PARENT_SAMPLING": "true",
        "OTEL_RESOURCE_ATTRIBUTES": "a=b,c=d",
        "OTEL_QTAP_OBJECTS_SEGMENT_BYTES": "65536",
    }
    shown = effective(**environ)

    assert {name: as_text(shown[name].value) for name in environ} == environ
    assert as_text(shown["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"].value) == ""
