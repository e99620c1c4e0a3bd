# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from otel_qtap.agent import supervisor
from otel_qtap.cli.main import main
from otel_qtap.settings import Settings


def test_record_runs_the_agent_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path | None] = []

    def run_agent(settings: Settings, record_to: Path | None, reread: object) -> int:
        calls.append(record_to)
        return 0

    monkeypatch.setattr(supervisor, "run_agent", run_agent)

    assert main(["record", str(tmp_path / "capture.qtrec")]) == 0
    assert calls == [tmp_path / "capture.qtrec"]
