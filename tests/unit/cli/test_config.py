# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from otel_qtap.cli.main import main


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_QTAP_OBJECTS_URL", "memory:")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")
    monkeypatch.setenv("OTEL_CONFIG_FILE", "otel.yaml")


def test_table_shows_value_and_origin_of_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 0
    out, err = capsys.readouterr()

    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert rows["OTEL_QTAP_OBJECTS_URL"] == ["memory:", "environment"]
    assert rows["OTEL_QTAP_HEALTH_ADDRESS"] == ["127.0.0.1:13133", "default"]
    assert rows["OTEL_QTAP_CAPTURE_INCLUDE"] == ["-", "default"]
    assert rows["OTEL_EXPORTER_OTLP_LOGS_HEADERS"] == ["authorization=****", "OTEL_EXPORTER_OTLP_HEADERS"]
    assert "hunter2" not in out + err
    assert "OTEL_CONFIG_FILE" in err


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)

    settings = {setting["name"]: setting for setting in page["settings"]}
    assert settings["OTEL_QTAP_OBJECTS_SEGMENT_SECONDS"] == {
        "name": "OTEL_QTAP_OBJECTS_SEGMENT_SECONDS",
        "value": 5.0,
        "origin": "default",
        "source": "default",
    }
    assert settings["OTEL_EXPORTER_OTLP_HEADERS"]["value"] == {"authorization": "****"}
    assert page["ignored"] == ["OTEL_CONFIG_FILE"]


def test_changed_leaves_out_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--changed"]) == 0

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "OTEL_QTAP_OBJECTS_URL",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    ]


def test_settings_of_a_file_are_shown_with_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "objects:\n  url: 'none:'\nhttp:\n  query_allow: [page]\notel:\n  exporter_otlp_timeout: 7\n"
    )
    assert main(["config", "--config", str(file)]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}

    assert rows["OTEL_QTAP_CONFIG_FILE"] == [str(file), "command", "line"]
    assert rows["OTEL_QTAP_OBJECTS_URL"] == ["memory:", "environment"]
    assert rows["OTEL_QTAP_HTTP_QUERY_ALLOW"] == ["page", f"{file}:4"]
    assert rows["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"] == ["7", "OTEL_EXPORTER_OTLP_TIMEOUT", f"({file}:6)"]


def test_a_file_that_is_refused_ends_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("objects:\n  ulr: x\n")

    assert main(["config", "--config", str(file)]) == 2
    assert f"{file}:2: objects.ulr is not a setting of otel-qtap. Did you mean objects.url?" in (
        capsys.readouterr().err
    )


def test_values_are_shown_on_one_line_without_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_QTAP_CAPTURE_LIBRARIES", "/tmp/\x1b[2J\n/usr/lib/x")
    monkeypatch.setenv("OTEL_\x1b[2J", "1")
    assert main(["config", "--changed"]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert r"/tmp/\x1b[2J\n/usr/lib/x" in said.out
