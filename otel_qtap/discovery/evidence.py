# SPDX-License-Identifier: Apache-2.0
"""What an answer about a file rests on: it holds for every file that has the same bytes there."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

MOST_PARTS = 1000
"""Five times what real libraries take."""
MOST_BYTES = 1 << 30
"""Four times what real files take, of which Chromium takes most."""


class Extent(NamedTuple):
    """A part of a file, in bytes."""

    offset: int
    size: int


class Evidence(NamedTuple):
    """The parts that were read for an answer, in order, and the SHA-256 of their bytes in hex."""

    parts: tuple[Extent, ...] = ()
    digest: str = ""

    @property
    def size(self) -> int:
        """How many bytes are read where it is compared."""
        return sum(part.size for part in self.parts)

    def holds(self, read: Callable[[int, int], bytes]) -> bool:
        """Whether another file has the same; ``read`` takes offset and size."""
        digest = hashlib.sha256()
        for part in self.parts:
            digest.update(read(*part))
        return digest.hexdigest() == self.digest


class Reads:
    """Collects evidence, from what was read: a file may be another when it is read again."""

    def __init__(self) -> None:
        self._parts: list[Extent] = []
        self._bytes = 0
        self._digest = hashlib.sha256()

    def copy(self) -> "Reads":
        """As it is now."""
        copy = Reads()
        copy._parts, copy._bytes, copy._digest = list(self._parts), self._bytes, self._digest.copy()
        return copy

    def add(self, offset: int, data: bytes) -> None:
        """This was read."""
        if self._is_too_much:
            return
        self._parts.append(Extent(offset, len(data)))
        self._bytes += len(data)
        if not self._is_too_much:
            self._digest.update(data)

    @property
    def _is_too_much(self) -> bool:
        return len(self._parts) > MOST_PARTS or self._bytes > MOST_BYTES

    def evidence(self) -> Evidence | None:
        """Of all that was read until now; None if it was in too many parts, or too much, to be of use."""
        if self._is_too_much:
            return None
        return Evidence(tuple(self._parts), self._digest.hexdigest())
