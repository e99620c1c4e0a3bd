# SPDX-License-Identifier: Apache-2.0
"""Says when something begins to be lost and when that is over, from counters that only ever grow."""

import logging
from collections.abc import Mapping

from otel_qtap.conditions import Condition

logger = logging.getLogger(__name__)

CALM_SECONDS = 10.0
"""Without a loss for so long, it is over."""


class LossWatch:
    """Compares totals by name, as they are observed once a second. What is there at first is old."""

    def __init__(self) -> None:
        self._is_first = True
        self._totals: dict[str, int] = {}
        self._began: dict[str, int] = {}
        self._last: dict[str, float] = {}
        self._conditions: dict[str, Condition] = {}

    def observe(self, totals: Mapping[str, int], now: float) -> None:
        """Take the totals at ``now`` (``time.monotonic``). A name says what is lost and why."""
        for name, total in totals.items():
            # Some are counted from their first loss on only.
            before = self._totals.get(name, total if self._is_first else 0)
            self._totals[name] = total
            if total > before:
                self._last[name] = now
                self._lose(name, before)
        self._is_first = False
        for name in [name for name, last in self._last.items() if now - last >= CALM_SECONDS]:
            del self._last[name]
            lost = self._totals[name] - self._began.pop(name)
            self._conditions[name].recover("no more losses: %s; %d were lost", name, lost)

    def _lose(self, name: str, before: int) -> None:
        self._began.setdefault(name, before)
        condition = self._conditions.get(name)
        if condition is None:
            condition = self._conditions[name] = Condition(logger, "otel_qtap.loss")
        condition.fail("losses", "losses begin: %s", name)
