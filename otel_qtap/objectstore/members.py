# SPDX-License-Identifier: Apache-2.0
"""Gzip members one by one: the unit of a segment that can be read alone."""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from isal import igzip_lib

CHUNK_BYTES = 64 * 1024
_DAMAGED: Any = (igzip_lib.IsalError, EOFError)  # the stubs of isal take the class for an object


class MemberError(ValueError):
    """What should be a gzip member is not."""


class MemberTooLargeError(MemberError):
    """A member inflates to more than the limit."""


class Inflater:
    """Inflates exactly one member, fed in pieces, to at most ``limit`` bytes."""

    __slots__ = ("_decompressor", "_limit", "_parts", "size")

    def __init__(self, limit: int) -> None:
        self._decompressor = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
        self._limit = limit
        self._parts: list[bytes] = []
        self.size = 0

    def feed(self, data: bytes) -> bool:
        """Take more bytes of the file; true once the member is complete. Raises MemberError."""
        decompressor = self._decompressor
        while True:
            try:
                part = decompressor.decompress(data, self._limit - self.size + 1)
            except _DAMAGED as error:
                raise MemberError("not a gzip member, or a damaged one") from error
            self.size += len(part)
            if self.size > self._limit:
                raise MemberTooLargeError(f"a record of more than {self._limit} bytes")
            self._parts.append(part)
            if decompressor.eof:
                return True
            if decompressor.needs_input:
                return False
            data = b""

    @property
    def content(self) -> bytes:
        """All that was inflated so far."""
        return b"".join(self._parts)

    @property
    def rest(self) -> bytes:
        """What was fed beyond the end of the member."""
        rest: bytes = self._decompressor.unused_data
        return rest


class Member(NamedTuple):
    """A complete member: its bytes in the file, and what it holds."""

    first: int
    length: int
    content: bytes


def read_members(file: BinaryIO, limit: int) -> Iterator[Member]:
    """The complete members from the file's position on; ends silently at the first that is not."""
    first = file.tell()
    data = file.read(CHUNK_BYTES)
    while data:
        inflater = Inflater(limit)
        fed = 0
        try:
            while data:
                fed += len(data)
                if inflater.feed(data):
                    break
                data = file.read(CHUNK_BYTES)
            else:
                return
        except MemberError:
            return
        data = inflater.rest
        length = fed - len(data)
        yield Member(first, length, inflater.content)
        first += length
        data = data or file.read(CHUNK_BYTES)
