# SPDX-License-Identifier: Apache-2.0
"""What a forked child does with its parent's open files."""

import contextlib
import os
from collections.abc import Iterable

_STANDARD_DESCRIPTORS = 3


def close_others(keep: Iterable[int]) -> None:
    """Close all that is open but ``keep`` and the standard streams, whoever opened it.

    For a child that never returns to its parent's code: whatever of the parent's it holds must be of no use
    to whoever takes it over. Finalizers of the parent's objects must not run afterwards, on numbers that are
    used anew by then.
    """
    kept = {*range(_STANDARD_DESCRIPTORS), *keep}
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208 - names, no paths
        if number not in kept:
            with contextlib.suppress(OSError):
                os.close(number)
