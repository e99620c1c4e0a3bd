# SPDX-License-Identifier: Apache-2.0
"""The chunked transfer coding (RFC 9112 section 7.1), incrementally.

llhttp reads chunked bodies too, but tells neither where in the input a message ended nor the bytes
of the trailer section, and an observer needs both. A property test holds this reader against llhttp.

    chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
    chunk-size     = 1*HEXDIG
    last-chunk     = 1*("0") [ chunk-ext ] CRLF
    trailer-section = *( field-line CRLF ), then CRLF
"""

import re
from collections.abc import Callable

from otel_qtap.protocols.base import ByteBudget
from otel_qtap.protocols.http1.message import Message

MAX_CHUNK_LINE = 4096
"""Size and extensions of one chunk. hyper allows 16 KiB of extensions in a whole body, Go 8 KiB a line."""
MAX_TRAILER_BYTES = 65_536
"""As for heads."""

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")


class MalformedError(Exception):
    """Broken framing. Stays inside this package.

    The line at fault begins ``at`` in the input, or, where ``earlier`` is not empty, with those bytes,
    which came before.
    """

    def __init__(self, at: int, earlier: bytes = b"") -> None:
        super().__init__(at)
        self.at = at
        self.earlier = earlier


class ChunkedBody:
    """Reads one chunked body into a message.

    ``feed(data, at)`` consumes from ``at`` and returns where it stopped: the end of ``data``, or,
    with ``done`` set, the first byte behind the message. Lines that are not whole yet are kept here.
    LF alone ends a chunk line only in a message whose head did so too: to a strict reader it is an error.
    """

    __slots__ = (
        "_budget",
        "_lf_only",
        "_limit",
        "_line",
        "_line_start",
        "_message",
        "_raw_line",
        "_remaining",
        "_step",
        "cut_bytes",
        "done",
    )

    def __init__(self, message: Message, limit: int, budget: ByteBudget) -> None:
        self._message = message
        self._limit = limit
        self._budget = budget
        self._lf_only = b"\r\n" not in message.head
        self._line = b""
        self._line_start = 0, b""
        self._raw_line = b""
        self._remaining = 0
        self._step: Callable[[bytes, int], int] = self._size_line
        self.cut_bytes = 0
        self.done = False

    def feed(self, data: bytes, at: int) -> int:
        """Consume; raise MalformedError on broken framing."""
        end = len(data)
        while at < end and not self.done:
            at = self._step(data, at)
        return at

    def _take_line(self, data: bytes, at: int, limit: int) -> tuple[bytes | None, int]:
        """The next line without its end, or None when it is not whole yet; and where reading goes on."""
        earlier = self._line
        stop = data.find(b"\n", at)
        line = earlier + (data[at:stop] if stop >= 0 else data[at:])
        if len(line) > limit:
            raise MalformedError(at, earlier)
        if stop < 0:
            self._line = line
            return None, len(data)
        self._raw_line = line + b"\n"
        if line.endswith(b"\r"):
            line = line[:-1]
        elif not self._lf_only:
            raise MalformedError(at, earlier)
        self._line = b""
        self._line_start = at, earlier
        return line, stop + 1

    def _size_line(self, data: bytes, at: int) -> int:
        line, next_at = self._take_line(data, at, MAX_CHUNK_LINE)
        if line is None:
            return next_at
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise MalformedError(*self._line_start)
        self._remaining = int(match[1], 16)
        self._step = self._data if self._remaining else self._trailer_line
        return next_at

    def _data(self, data: bytes, at: int) -> int:
        stop = min(at + self._remaining, len(data))
        self.cut_bytes += self._message.append(data[at:stop], self._limit, self._budget)
        self._remaining -= stop - at
        if not self._remaining:
            self._step = self._data_end
        return stop

    def _data_end(self, data: bytes, at: int) -> int:
        line, next_at = self._take_line(data, at, 1)
        if line:
            raise MalformedError(*self._line_start)
        if line is not None:
            self._step = self._size_line
        return next_at

    def _trailer_line(self, data: bytes, at: int) -> int:
        message = self._message
        line, next_at = self._take_line(data, at, MAX_TRAILER_BYTES - len(message.tail))
        if line is None:
            return next_at
        if line:
            message.tail += self._raw_line
        else:
            self.done = True
            # A bound method of its own would keep this object alive until the next collection.
            self._step = _nothing
        return next_at


def _nothing(data: bytes, at: int) -> int:
    return at
