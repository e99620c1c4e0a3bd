# SPDX-License-Identifier: Apache-2.0
"""How often and how long one observed context may be the parent of our spans.

Keep-alive pools, pollers and reused contexts repeat one context for hours; adopting it without bound
merges unrelated work into one endless trace.
"""

from collections import OrderedDict


class AdoptionBound:
    """Remembers the ``capacity`` contexts seen last.

    A context may be adopted ``limit`` times, and for ``duration_ns`` after it was first seen. One that
    was forgotten starts anew.
    """

    __slots__ = ("_capacity", "_duration_ns", "_limit", "_seen")

    def __init__(self, *, limit: int, duration_ns: int, capacity: int = 4096) -> None:
        self._limit = limit
        self._duration_ns = duration_ns
        self._capacity = capacity
        self._seen: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def adopt(self, context: bytes, now_ns: int) -> bool:
        """Count one sight of ``context`` (trace id and span id); False when it may not be adopted again."""
        seen = self._seen
        entry = seen.get(context)
        if entry is None:
            seen[context] = (1, now_ns)
            if len(seen) > self._capacity:
                seen.popitem(last=False)
            return self._limit > 0
        count, first_ns = entry
        count += 1
        seen[context] = (count, first_ns)
        seen.move_to_end(context)
        return count <= self._limit and now_ns - first_ns <= self._duration_ns
