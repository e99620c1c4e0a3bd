# SPDX-License-Identifier: Apache-2.0
"""The only maker of trace and span ids that are not derived."""

from collections.abc import Callable

from otel_qtap.model.trace import SpanTarget

_PAIR = 24
_BLOCK = 170 * _PAIR
"""One draw of about 4 KiB: the cost of the system call is shared by 170 spans."""
_ZERO_TRACE_ID = bytes(16)
_ZERO_SPAN_ID = bytes(8)


class IdSource:
    """Makes ids from ``random_bytes`` (number of bytes -> that many), drawn a block at a time.

    A process that forks must make its source after the fork: the block would be shared.
    """

    __slots__ = ("_drawn", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._drawn: list[tuple[bytes, bytes]] = []

    def ids(self) -> tuple[bytes, bytes]:
        """Trace id (16 bytes) and span id (8), random."""
        return (self._drawn or self._draw()).pop()

    def new_span_target(self) -> SpanTarget:
        """Ids of a span in a trace of its own, which belongs to no exchange: an upload."""
        trace_id, span_id = (self._drawn or self._draw()).pop()
        return SpanTarget(trace_id=trace_id, span_id=span_id)

    def _draw(self) -> list[tuple[bytes, bytes]]:
        """Fill ``_drawn`` with pairs of valid ids: all-zero means "no id" in every format."""
        drawn = self._drawn
        while not drawn:
            block = self._random_bytes(_BLOCK)
            for start in range(0, _BLOCK, _PAIR):
                middle = start + 16
                trace_id = block[start:middle]
                span_id = block[middle : start + _PAIR]
                if trace_id != _ZERO_TRACE_ID and span_id != _ZERO_SPAN_ID:
                    drawn.append((trace_id, span_id))
        return drawn
