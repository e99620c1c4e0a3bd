# SPDX-License-Identifier: Apache-2.0
"""One thread of a process held still while the others go on: what a loop that is stuck looks like."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.support.waiting import eventually

_PTRACE_SEIZE, _PTRACE_INTERRUPT, _PTRACE_DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


@contextmanager
def stopped_thread(tid: int, others_go_on: Callable[[], object]) -> Iterator[None]:
    """Hold ``tid`` by ptrace, at a moment when the others can go on: while it has no lock of theirs."""

    def hold() -> bool:
        _ptrace(_PTRACE_SEIZE, tid)
        _ptrace(_PTRACE_INTERRUPT, tid)
        os.waitpid(tid, _WALL)
        if others_go_on():
            return True
        _ptrace(_PTRACE_DETACH, tid)
        return False

    eventually(hold, "the thread is held where it harms no other", seconds=20)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it was killed meanwhile
            _ptrace(_PTRACE_DETACH, tid)


def _ptrace(request: int, tid: int) -> None:
    if _libc.ptrace(request, tid, None, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
