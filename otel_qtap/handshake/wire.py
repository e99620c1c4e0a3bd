# SPDX-License-Identifier: Apache-2.0
"""Numbers and vectors of the TLS presentation language (RFC 8446 section 3)."""

import struct


class CutOffError(Exception):
    """The bytes end before what is to be read. Never leaves this room."""


class Reader:
    """Reads from the front. ``CutOffError`` where there is not enough; what was read before stays read."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self._at + size
        if end > len(self._data):
            raise CutOffError
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, size: int) -> int:
        """The next ``size`` bytes as an unsigned number."""
        return int.from_bytes(self.take(size))

    def vector(self, length_size: int) -> bytes:
        """The content of a vector whose length stands before it in ``length_size`` bytes."""
        return self.take(self.number(length_size))

    def available_vector(self, length_size: int) -> tuple[bytes, bool]:
        """The same, or as much of it as is there, and whether that is all."""
        size = self.number(length_size)
        whole = size <= self.left
        return self.take(size if whole else self.left), whole


def numbers(data: bytes) -> tuple[int, ...]:
    """A list of 16-bit numbers; an odd byte at the end is left out."""
    return struct.unpack_from(f">{len(data) // 2}H", data)
