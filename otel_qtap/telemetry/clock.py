# SPDX-License-Identifier: Apache-2.0
"""From the kernel's clock to the collector's: CLOCK_BOOTTIME to Unix time, both in nanoseconds."""

import time
from collections.abc import Callable

_TOLERATED_DRIFT_NS = 100_000
_SAMPLES = 5


class UnixClock:
    """Adds an offset that follows the wall clock.

    The offset moves only when it is wrong by more than 100 µs (slewing adds up, time is set), so that
    spans which follow each other closely keep their order. Times of the past are converted with the
    offset of now: that is what the wall clock would call them.
    """

    __slots__ = ("_boottime_ns", "_unix_ns", "offset_ns")

    def __init__(
        self,
        *,
        boottime_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._boottime_ns = boottime_ns
        self._unix_ns = unix_ns
        self.offset_ns = self._measure()

    def anchor(self) -> None:
        """Compare both clocks again; called every few seconds, from any thread."""
        measured = self._measure()
        if abs(measured - self.offset_ns) > _TOLERATED_DRIFT_NS:
            self.offset_ns = measured

    def now(self) -> int:
        """Unix time of this moment."""
        return self._unix_ns()

    def unix(self, boottime_ns: int) -> int:
        """Unix time of a moment of CLOCK_BOOTTIME; 0 for moments before 1970."""
        return max(0, boottime_ns + self.offset_ns)

    def _measure(self) -> int:
        """Return the offset as read between the two closest of a few readings."""
        best_width, best_offset = None, 0
        for _ in range(_SAMPLES):
            before = self._boottime_ns()
            unix = self._unix_ns()
            after = self._boottime_ns()
            width = after - before
            if best_width is None or width < best_width:
                best_width, best_offset = width, unix - (before + after) // 2
        return best_offset
