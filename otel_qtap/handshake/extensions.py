# SPDX-License-Identifier: Apache-2.0
"""Extensions of a hello (RFC 8446 section 4.2)."""

import struct
from collections.abc import Set
from typing import Final, NamedTuple

_HEAD: Final = struct.Struct(">HH")


class Extensions(NamedTuple):
    """What stands in a hello's list of extensions."""

    types: tuple[int, ...]
    """Of all, in order."""
    contents: dict[int, bytes]
    """Of those that were wanted; of the last one, as much as is there."""
    whole: bool
    """Whether the list ends where an extension does."""


def read_extensions(data: bytes, wanted: Set[int]) -> Extensions:
    """Go through a list of extensions.

    There may be thousands of them, most of which nobody knows: each costs little. Where a type comes twice,
    which is forbidden, the last one counts.
    """
    types: list[int] = []
    contents: dict[int, bytes] = {}
    at, size = 0, len(data)
    while at + _HEAD.size <= size:
        kind, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        types.append(kind)
        if kind in wanted:
            contents[kind] = data[at : at + length]
        at += length
    return Extensions(tuple(types), contents, whole=at == size)
