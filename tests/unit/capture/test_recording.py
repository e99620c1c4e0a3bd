# SPDX-License-Identifier: Apache-2.0
import stat
from pathlib import Path

import pytest

from otel_qtap.capture.recording import RecordingReader, RecordingWriter, Stream
from otel_qtap.errors import RecordingError


def write(path: Path, *records: bytes) -> None:
    writer = RecordingWriter(path, {"kernel": "6.1"})
    for record in records:
        writer.write(Stream.DATA, record)
    writer.close()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.qtrec"
    writer = RecordingWriter(path, {"unix_offset_ns": 5})
    writer.write(Stream.PROCESS, b"{}")
    writer.write(Stream.DATA, memoryview(b"plain"))
    writer.write(Stream.CONTROL, b"")
    writer.close()

    reader = RecordingReader(path)

    assert reader.header == {"unix_offset_ns": 5}
    assert list(reader.frames()) == [(Stream.PROCESS, b"{}"), (Stream.DATA, b"plain"), (Stream.CONTROL, b"")]


def test_a_recording_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "a.qtrec"
    write(path, b"secret")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_already_is_neither_overwritten_nor_followed(tmp_path: Path) -> None:
    existing, link = tmp_path / "a.qtrec", tmp_path / "link.qtrec"
    existing.write_text("an earlier one")
    link.symlink_to(tmp_path / "elsewhere")

    for path in (existing, link):
        with pytest.raises(RecordingError, match=r"cannot be written: File exists"):
            write(path, b"secret")
    assert existing.read_text() == "an earlier one"
    assert not (tmp_path / "elsewhere").exists()


def test_a_recording_that_was_cut_off_ends_at_its_last_whole_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.qtrec"
    write(path, b"first", b"second")
    whole = path.read_bytes()

    for missing in range(1, len(b"second") + 5):
        path.write_bytes(whole[:-missing])
        assert [record for _, record in RecordingReader(path).frames()] == [b"first"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"QTAPREC2",
        b"QTAPREC9" + b"\0" * 20,
        b"QTAPREC2\xff\xff\xff\xff",
        b"QTAPREC2\x02\0\0\0[]",
        b"QTAPREC2\x02\0\0\0\xff}",
        b"QTAPREC2\x90\x5f\x01\0" + b"[" * 90_000,
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.qtrec"
    path.write_bytes(content)

    with pytest.raises(RecordingError, match=r"a\.qtrec"):
        RecordingReader(path)


def test_a_damaged_frame_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.qtrec"
    write(path, b"first")
    path.write_bytes(path.read_bytes() + b"\x09\x01\x00\x00\x00x")

    with pytest.raises(RecordingError, match="damaged at byte"):
        list(RecordingReader(path).frames())


def test_a_missing_file_is_an_error_a_user_can_act_on(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        RecordingReader(tmp_path / "none")
