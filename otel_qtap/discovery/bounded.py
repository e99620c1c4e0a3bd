# SPDX-License-Identifier: Apache-2.0
"""Reads of files that others write and may take away at any time."""

import os

_READ_SIZE = 256 << 10


def read_bounded(path: str, limit: int) -> bytes:
    """At most ``limit`` bytes from the start of a file; what was read so far when it fails."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return b""
    parts = []
    left = limit
    try:
        while left > 0 and (part := os.read(descriptor, min(left, _READ_SIZE))):
            parts.append(part)
            left -= len(part)
    except OSError:
        pass  # the process whose file it is has ended meanwhile
    finally:
        os.close(descriptor)
    return b"".join(parts)
