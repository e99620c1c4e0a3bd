# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from otel_qtap.cli.main import main


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_QTAP_OBJECTS_URL", "memory:")
    monkeypatch.setenv("OTEL_QTAP_STATE_DIRECTORY", str(tmp_path / "state"))


def test_a_recording_that_is_not_there_ends_with_1_and_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.qtrec"

    assert main(["replay", str(missing)]) == 1
    assert str(missing) in capsys.readouterr().err


def test_a_file_that_is_no_recording_ends_with_1_and_none_of_its_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("hunter2 " * 100)

    assert main(["replay", str(other)]) == 1
    complaint = capsys.readouterr().err
    assert str(other) in complaint
    assert "hunter2" not in complaint
