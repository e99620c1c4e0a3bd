# SPDX-License-Identifier: Apache-2.0
"""Values that mean nothing, sent so that peers learn to ignore what they do not know (RFC 8701)."""

from collections.abc import Iterable
from itertools import filterfalse
from typing import Final

_GREASE: Final = frozenset(range(0x0A0A, 0x10000, 0x1010))


def is_grease(value: int) -> bool:
    """Whether a 16-bit value is reserved: 0x0A0A, 0x1A1A, ... 0xFAFA."""
    return value in _GREASE


def without_grease(values: Iterable[int]) -> list[int]:
    """The values that mean something, in order."""
    return list(filterfalse(_GREASE.__contains__, values))
