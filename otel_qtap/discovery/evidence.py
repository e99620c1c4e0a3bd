# SPDX-License-Identifier: Apache-2.0
"""What an answer about a file rests on: it holds for every file that has the same bytes there."""

import hashlib
from collections.abc import Callable, Iterable
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
    """The parts that were read for an answer, each once, and the SHA-256 of theirs in hex."""

    parts: tuple[Extent, ...] = ()
    digest: str = ""

    @property
    def size(self) -> int:
        """How many bytes are read where it is compared."""
        return sum(part.size for part in self.parts)

    def holds(self, read: Callable[[int, int], bytes]) -> bool:
        """Whether another file has the same; ``read`` takes offset and size."""
        return _digest(hashlib.sha256(read(*part)).digest() for part in self.parts) == self.digest


class Reads:
    """Collects evidence, from what was read: a file may be another when it is read again."""

    def __init__(self) -> None:
        self._parts: dict[Extent, bytes] = {}
        self._bytes = 0
        self._has_changed = False

    def copy(self) -> "Reads":
        """As it is now."""
        copy = Reads()
        copy._parts, copy._bytes, copy._has_changed = dict(self._parts), self._bytes, self._has_changed
        return copy

    def add(self, offset: int, data: bytes) -> None:
        """This was read."""
        if self._is_of_no_use:
            return
        part, digest = Extent(offset, len(data)), hashlib.sha256(data).digest()
        if part in self._parts:
            self._has_changed |= self._parts[part] != digest
            return
        self._parts[part] = digest
        self._bytes += len(data)

    @property
    def _is_of_no_use(self) -> bool:
        return self._has_changed or len(self._parts) > MOST_PARTS or self._bytes > MOST_BYTES

    def evidence(self) -> Evidence | None:
        """Of all that was read until now; None if the file changed meanwhile, or it was too much."""
        if self._is_of_no_use:
            return None
        return Evidence(tuple(self._parts), _digest(self._parts.values()))


def _digest(of_parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(of_parts)).hexdigest()
