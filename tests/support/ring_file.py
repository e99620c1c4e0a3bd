# SPDX-License-Identifier: Apache-2.0
"""A BPF ring buffer's memory without a kernel."""

import struct
import tempfile

PAGE = 4096


class RingFile:
    """A file laid out like the kernel's ring: consumer page, producer page, data, and the data again."""

    def __init__(self, size: int = 4 * PAGE) -> None:
        self.size = size
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the ring
        self.file.truncate(2 * PAGE + 2 * size)
        self.position = 0

    def produce(self, payload: bytes, *, flags: int = 0) -> None:
        """Reserve and commit one record; ``flags`` are those of its header."""
        record = struct.pack("<II", len(payload) | flags, 0) + payload
        record += b"\0" * (-len(record) % 8)
        for index, byte in enumerate(record):
            place = (self.position + index) % self.size
            for copy in (place, place + self.size):
                self._write(2 * PAGE + copy, bytes([byte]))
        self.position += len(record)
        self._write(PAGE, struct.pack("<Q", self.position))

    def commit(self, at: int, length: int) -> None:
        """Write a record's header anew."""
        self._write(2 * PAGE + at % self.size, struct.pack("<I", length))

    def consumed(self) -> int:
        """The consumer's position."""
        self.file.seek(0)
        return int(struct.unpack("<Q", self.file.read(8))[0])

    def _write(self, offset: int, data: bytes) -> None:
        self.file.seek(offset)
        self.file.write(data)
        self.file.flush()
