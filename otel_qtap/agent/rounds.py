# SPDX-License-Identifier: Apache-2.0
"""When to look at all processes again."""

_SOON_SECONDS = 1.0
"""Long enough for most files to be written to their end."""


class Rounds:
    """A look around each so many seconds, and one between for a reason; times are of ``time.monotonic``."""

    def __init__(self, every: float, now: float) -> None:
        self._every = every
        self._next = now + every
        self._is_hurried = False
        self._may_hurry = True

    def at_once(self) -> None:
        """The next look is due."""
        self._next = 0.0

    def soon(self, now: float) -> None:
        """Have the next look in a moment: once between two regular ones, for reasons may come without end."""
        if self._may_hurry:
            self._next = min(self._next, now + _SOON_SECONDS)
            self._is_hurried, self._may_hurry = True, False

    def is_due(self, now: float) -> bool:
        """Whether to look now; if so, the time to the next look begins."""
        if now < self._next:
            return False
        self._next = now + self._every
        self._may_hurry = not self._is_hurried
        self._is_hurried = False
        return True
