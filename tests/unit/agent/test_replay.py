# SPDX-License-Identifier: Apache-2.0
"""Recordings that somebody else made: refused with the file's name, whatever is wrong with them."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from otel_qtap.agent.messages import process_message
from otel_qtap.agent.replay import replay
from otel_qtap.capture.recording import RecordingWriter, Stream
from otel_qtap.errors import RecordingError
from otel_qtap.model.identity import ProcessFacts, ProcessId
from otel_qtap.settings import Settings, load_settings

HEADER = {"unix_offset_ns": 1_700_000_000_000_000_000}
FACTS = process_message(ProcessFacts(process=ProcessId(1, 2), command="curl"), allowed=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        {
            "OTEL_SDK_DISABLED": "true",
            "OTEL_QTAP_OBJECTS_URL": "memory:",
            "OTEL_QTAP_STATE_DIRECTORY": str(tmp_path / "state"),
        }
    )


def recording(path: Path, header: Mapping[str, object], *frames: tuple[Stream, bytes]) -> Path:
    writer = RecordingWriter(path, dict(header))
    for stream, record in frames:
        writer.write(stream, record)
    writer.close()
    return path


def test_a_recording_of_nothing_is_replayed_to_nothing(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording(tmp_path / "a", HEADER, (Stream.PROCESS, json.dumps(FACTS).encode()))

    assert replay(settings, path) == 0
    assert capsys.readouterr().out == f"0 exchanges replayed from {path}\n"


def test_records_that_make_no_sense_are_skipped(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [
        (stream, bytes([number]) * number)
        for number in range(256)
        for stream in (Stream.DATA, Stream.CONTROL)
    ]

    assert replay(settings, recording(tmp_path / "a", HEADER, *frames)) == 0
    assert capsys.readouterr().out.startswith("0 exchanges")


@pytest.mark.parametrize("header", [{}, {"unix_offset_ns": "today"}, {"unix_offset_ns": None}])
def test_a_header_without_the_time_is_refused(
    settings: Settings, tmp_path: Path, header: Mapping[str, object]
) -> None:
    with pytest.raises(RecordingError, match="does not tell the time"):
        replay(settings, recording(tmp_path / "a", header))


@pytest.mark.parametrize(
    "facts",
    [b"\xff", b"[]", b"{}", b'{"facts": {}, "allowed": true}', b'{"facts": {"process": [1]}}', b"[" * 90_000],
)
def test_damaged_facts_are_refused(settings: Settings, tmp_path: Path, facts: bytes) -> None:
    with pytest.raises(RecordingError, match="facts of a process are damaged"):
        replay(settings, recording(tmp_path / "a", HEADER, (Stream.PROCESS, facts)))
