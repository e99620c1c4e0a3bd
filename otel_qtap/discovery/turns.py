# SPDX-License-Identifier: Apache-2.0
"""Work that waits, by whom it is for: each has its turn, however much another one asks for."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Turns(Generic[_T]):
    """No more than ``most_each`` wait for one; the next is always that of whoever had no turn for longest."""

    def __init__(self, most_each: int) -> None:
        self._most_each = most_each
        self._waiting: OrderedDict[int, deque[_T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def is_full(self, owner: int) -> bool:
        """Whether nothing more can wait for this one."""
        return len(self._waiting.get(owner, ())) >= self._most_each

    def add(self, owner: int, item: _T) -> None:
        """Have it wait, behind what waits for the same one, which must not be full."""
        assert not self.is_full(owner)
        self._waiting.setdefault(owner, deque()).append(item)

    def take(self) -> _T:
        """The next one, of which there must be one."""
        owner, items = self._waiting.popitem(last=False)
        item = items.popleft()
        if items:
            self._waiting[owner] = items
        return item

    def clear(self) -> None:
        """Nothing is wanted any more."""
        self._waiting.clear()
