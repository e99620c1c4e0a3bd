# SPDX-License-Identifier: Apache-2.0
"""A filesystem of our own, mounted nowhere: shows what a mount would hold and leaves no trace.

The new mount API (fsopen(2), fsconfig(2), fsmount(2); kernel 5.2). The numbers are the same on every
architecture.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from otel_qtap.capture.syscalls import call

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOEXEC = 1
_CMD_CREATE = 6


@contextmanager
def detached_mount(filesystem: str) -> Iterator[int]:
    """A directory descriptor of it. Raises OSError: EPERM without CAP_SYS_ADMIN, ENODEV: no such kind."""
    context = call(_FSOPEN, ctypes.c_char_p(filesystem.encode()), ctypes.c_uint(_CLOEXEC))
    try:
        call(_FSCONFIG, ctypes.c_int(context), ctypes.c_uint(_CMD_CREATE), None, None, ctypes.c_int(0))
        mount = call(_FSMOUNT, ctypes.c_int(context), ctypes.c_uint(_CLOEXEC), ctypes.c_uint(0))
    finally:
        os.close(context)
    try:
        yield mount
    finally:
        os.close(mount)
