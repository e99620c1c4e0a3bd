# SPDX-License-Identifier: Apache-2.0
"""Failed attempts to log in, limited by address: a bucket that empties slowly."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

BURST = 10
SECONDS_EACH = 6.0
_MOST_ADDRESSES = 4096


class Throttle:
    """Allows BURST failures at once and one more every SECONDS_EACH. ``now`` is monotonic, in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = Lock()
        # When the bucket of an address will be empty; the one that failed last is at the end.
        self._empty_at: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """0 when the address may try now, else how long it has to wait."""
        with self._lock:
            ahead = self._empty_at.get(address, 0.0) - self._now()
        full = (BURST - 1) * SECONDS_EACH
        return 0 if ahead <= full else int(ahead - full) + 1

    def failed(self, address: str) -> None:
        """Count a failure."""
        with self._lock:
            now = self._now()
            self._empty_at[address] = max(self._empty_at.get(address, now), now) + SECONDS_EACH
            self._empty_at.move_to_end(address)
            if len(self._empty_at) > _MOST_ADDRESSES:
                self._empty_at.popitem(last=False)
