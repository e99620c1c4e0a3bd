# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition instead of for a time."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = float(os.environ.get("QTAP_TEST_PATIENCE", "1"))
"""How many times longer than on a usual machine to wait before a test fails."""


def eventually(probe: Callable[[], T], what: str, *, seconds: float = 10.0, pause: float = 0.05) -> T:
    """Call ``probe`` until it returns something true; fail with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what} (last seen: {value!r})")
        time.sleep(pause)
