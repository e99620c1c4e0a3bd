# SPDX-License-Identifier: Apache-2.0
"""Values that mean nothing, sent so that peers learn to ignore what they do not know (RFC 8701)."""

from collections.abc import Iterable


def is_grease(value: int) -> bool:
    """Whether a 16-bit value is reserved: 0x0A0A, 0x1A1A, ... 0xFAFA."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def without_grease(values: Iterable[int]) -> list[int]:
    """The values that mean something, in order."""
    return [value for value in values if not is_grease(value)]
