# SPDX-License-Identifier: Apache-2.0
"""Recordings of real conversations through the real chain, without a kernel and without privilege.

``recordings/NAME.qtrec`` was made by ``otel-qtap record``, ``recordings/NAME.expected.json`` is what becomes
of it. After a wanted change: ``QTAP_UPDATE_EXPECTED=1 pytest tests/replay``, and read the difference.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RECORDINGS = Path(__file__).with_name("recordings")
NOT_REPRODUCIBLE = frozenset(
    {"traceId", "spanId", "host.name", "host.id", "host.arch", "telemetry.distro.version"}
    | {f"qtap.payload.{name}" for name in ("uri", "offset", "length", "records", "size_compressed")}
    | {"http.request.body.content_ref", "http.response.body.content_ref"}
)
"""Ids are drawn at random; where a record stands in its segment depends on how well it was compressed."""


def replayed(recording: Path, state: Path) -> list[dict[str, Any]]:
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        "OTEL_QTAP_STATE_DIRECTORY": str(state),
        "OTEL_QTAP_OBJECTS_URL": "memory:",
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
    }
    command = [sys.executable, "-m", "otel_qtap", "replay", str(recording)]
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    *lines, summary = done.stdout.splitlines()
    assert "exchanges replayed" in summary
    spans = [json.loads(line) for line in lines]
    return [reproducible(span) for span in spans if span["scope"] == "otel_qtap.http"]


def reproducible(value: Any) -> Any:
    """The value without what differs from run to run; links keep what they say, not where they lead."""
    if isinstance(value, dict):
        return {name: reproducible(item) for name, item in value.items() if name not in NOT_REPRODUCIBLE}
    if isinstance(value, list):
        return [reproducible(item) for item in value]
    return value


@pytest.mark.parametrize("recording", sorted(RECORDINGS.glob("*.qtrec")), ids=lambda path: path.stem)
def test_a_recording_becomes_what_it_did(recording: Path, tmp_path: Path) -> None:
    expected = recording.with_suffix(".expected.json")
    spans = replayed(recording, tmp_path / "state")
    if os.environ.get("QTAP_UPDATE_EXPECTED"):
        expected.write_text(json.dumps(spans, indent=1, sort_keys=True) + "\n")

    assert spans == json.loads(expected.read_text())
