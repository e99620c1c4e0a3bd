# SPDX-License-Identifier: Apache-2.0
"""Raw kernel records to a file and back: what a bug report carries and what tests replay.

A recording holds plaintext. It is made with mode 0600, and it is to be guarded like the payloads.

Format: ``QTAPREC2``, a JSON header (length-prefixed), then frames of
``{u8 stream, u32 length, bytes}``, little-endian. Stream 1 is a data-ring record, 2 a control-ring
record, 3 facts of a process as JSON. Records keep the order in which they were read.
"""

import json
import os
import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO

from otel_qtap.errors import RecordingError

MAGIC = b"QTAPREC2"
_FRAME = struct.Struct("<BI")
_LENGTH = struct.Struct("<I")
_MAX_FRAME = 1 << 20


class Stream(IntEnum):
    """Where a frame came from."""

    DATA = 1
    CONTROL = 2
    PROCESS = 3


class RecordingWriter:
    """Writes one recording, to a file that is not there yet. Raises RecordingError when it cannot be made."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {error.strerror}") from error
        self._file = os.fdopen(descriptor, "wb", buffering=1 << 20)
        text = json.dumps(header).encode()
        self._file.write(MAGIC + _LENGTH.pack(len(text)) + text)
        self.frames = 0

    def write(self, stream: Stream, record: bytes | memoryview) -> None:
        """Append one frame. Raises OSError when the disk refuses."""
        self._file.write(_FRAME.pack(stream, len(record)))
        self._file.write(record)
        self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class RecordingReader:
    """Reads one recording. Raises RecordingError for what is not one, with the offset."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise RecordingError(f"{path} cannot be read: {error.strerror}") from error
        self._path = path
        if self._take(len(MAGIC)) != MAGIC:
            raise RecordingError(f"{path} is not a recording of this version (made by `otel-qtap record`)")
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size))
        if length > _MAX_FRAME:
            raise RecordingError(f"{path}: the header's length is impossible")
        try:
            header = json.loads(self._take(length))
        except (ValueError, RecursionError):
            header = None
        if not isinstance(header, dict):
            raise RecordingError(f"{path}: the header is damaged")
        self.header: dict[str, Any] = header

    def frames(self) -> Iterator[tuple[Stream, bytes]]:
        """Each frame in order; a last frame that was cut off ends the recording."""
        while True:
            head = self._file.read(_FRAME.size)
            if len(head) < _FRAME.size:
                return
            number, length = _FRAME.unpack(head)
            if number not in Stream.__members__.values() or length > _MAX_FRAME:
                raise RecordingError(f"{self._path}: damaged at byte {self._file.tell() - _FRAME.size}")
            record = self._file.read(length)
            if len(record) < length:
                return
            yield Stream(number), record

    def _take(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) < length:
            raise RecordingError(f"{self._path} is cut off in its header")
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
