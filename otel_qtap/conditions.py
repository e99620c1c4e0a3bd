# SPDX-License-Identifier: Apache-2.0
"""What goes well or does not, and since when: each change is logged once, however often it is noticed.

A collector that is away fails every attempt; the log says so when it begins and when it is over, and
/readyz tells the state in between. Any thread may report.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple


class State(NamedTuple):
    """How a condition is now."""

    well: bool
    since: float
    """Unix time, in seconds, of the last change."""
    reason: str
    """Why it is not well; "" when it is."""


class Condition:
    """One thing that should be well, and is taken to be at first.

    ``event_name`` is that of the log records about it. ``level`` is that of the record about the failure.
    """

    def __init__(self, logger: logging.Logger, event_name: str, *, level: int = logging.WARNING) -> None:
        self._logger = logger
        self._event_name = event_name
        self._level = level
        self._lock = threading.Lock()
        self._state = State(True, time.time(), "")
        self._began = 0.0

    @property
    def state(self) -> State:
        """How it is now."""
        return self._state

    @property
    def well(self) -> bool:
        """Whether it is well now."""
        return self._state.well

    def fail(self, reason: str, message: str, *arguments: object) -> None:
        """It is not well, because of ``reason``, a few words; ``message`` is logged if that is news."""
        with self._lock:
            news = self._state.well
            if news:
                self._began = time.monotonic()
                self._state = State(False, time.time(), reason)
            elif self._state.reason != reason:
                self._state = self._state._replace(reason=reason)
        if news:
            self._log(self._level, message, arguments, {"qtap.condition": "failed"})

    def recover(self, message: str, *arguments: object) -> None:
        """It is well; ``message`` is logged, with how long it was not, if that is news."""
        if self._state.well:  # nearly always: no lock for that
            return
        with self._lock:
            if self._state.well:
                return
            lasted = time.monotonic() - self._began
            self._state = State(True, time.time(), "")
        self._log(
            logging.INFO,
            f"{message} (after %.1f s)",
            (*arguments, lasted),
            {"qtap.condition": "recovered", "qtap.condition.duration": round(lasted, 3)},
        )

    def _log(
        self, level: int, message: str, arguments: tuple[object, ...], attributes: Mapping[str, object]
    ) -> None:
        extra = {"event_name": self._event_name, "attributes": attributes}
        # The record names who reports, not this module.
        self._logger.log(level, message, *arguments, extra=extra, stacklevel=3)
