# SPDX-License-Identifier: Apache-2.0
"""Giving privileges up for good (capabilities(7), prctl(2))."""

import contextlib
import ctypes
import gc
import os
import resource
import struct
from collections.abc import Iterable
from pathlib import Path

from otel_qtap.errors import PrivilegeError

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_LAST_CAPABILITY = 63
_CAPABILITY_VERSION_3 = 0x20080522
_STANDARD_DESCRIPTORS = 3

_libc = ctypes.CDLL(None, use_errno=True)


def drop_privileges(uid: int, gid: int) -> None:
    """Become ``uid``:``gid`` with no capability, no way back, no core dump, and no tracer but root.

    Raises PrivilegeError when any of it failed: a process that parses what strangers wrote must not
    go on with more than it needs.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    if os.geteuid() == 0:
        for capability in range(_LAST_CAPABILITY + 1):
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # EINVAL past the kernel's last one
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    # Changing the uid clears them too, unless whoever started us set securebits (capabilities(7)).
    _libc.capset(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise PrivilegeError("the pipeline could not renounce new privileges (prctl failed)")
    if 0 in (*os.getresuid(), *os.getresgid()) or _capabilities():
        raise PrivilegeError(
            "the pipeline could not give up its privileges. Start the agent as root or with CAP_SETUID, "
            "CAP_SETGID and CAP_SETPCAP, so that it can."
        )


def close_descriptors(keep: Iterable[int]) -> None:
    """Close all that is open but ``keep`` and the standard streams, whoever opened it.

    For a forked child that never returns to its parent's code: whatever of the parent's it holds must
    be of no use to whoever takes it over.
    """
    gc.collect()  # finalizers of the parent's objects must not run later, on numbers used anew by then
    kept = {*range(_STANDARD_DESCRIPTORS), *keep}
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208 - names, no paths
        if number not in kept:
            with contextlib.suppress(OSError):
                os.close(number)


def _capabilities() -> int:
    """Those that the process has or could take: effective and permitted."""
    found = 0
    with Path("/proc/thread-self/status").open(encoding="utf-8") as status:
        for line in status:
            if line.startswith(("CapEff:", "CapPrm:")):
                found |= int(line.split()[1], 16)
    return found
