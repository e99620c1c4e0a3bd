# SPDX-License-Identifier: Apache-2.0
"""Giving privileges up for good (capabilities(7), prctl(2))."""

import contextlib
import ctypes
import gc
import os
import resource
import struct
from collections.abc import Collection, Iterable
from pathlib import Path

from otel_qtap.agent.capabilities import BITS, mask
from otel_qtap.descriptors import close_others
from otel_qtap.errors import PrivilegeError

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_LAST_CAPABILITY = 63
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def limit_to(names: Collection[str], *, for_program: bool = False) -> None:
    """Go on with these capabilities at most, here and in all that is started from here, for good.

    To be called before there is a second thread: capabilities belong to each thread. What is kept
    passes to forked children; to a program that is executed only ``for_program``. Raises
    PrivilegeError when the kernel refuses.
    """
    keep = mask(names) & _permitted()
    _drop_bounding_set(keep)
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    words = [keep & 0xFFFFFFFF, keep >> 32]
    inherited = words if for_program else [0, 0]
    sets = [(word, word, passed) for word, passed in zip(words, inherited, strict=True)]
    data = struct.pack("<6I", *sets[0], *sets[1])
    # Without CAP_SETPCAP the bounding set stays, and root would get it back with the next program.
    if _libc.capset(_header(), data) or _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise PrivilegeError(f"capabilities could not be given up: {os.strerror(ctypes.get_errno())}")
    if for_program:
        for name in names:
            _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, BITS[name], 0, 0)  # EPERM: not held


def drop_privileges(uid: int, gid: int) -> None:
    """Become ``uid``:``gid`` with no capability, no way back, no core dump, and no tracer but root.

    For a process that is not root and stays what it is, ``uid`` and ``gid`` are its own.

    Raises PrivilegeError when any of it failed: a process that parses what strangers wrote must not
    go on with more than it needs.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    _drop_bounding_set(keep=0)
    with contextlib.suppress(PermissionError):  # told below
        if (*os.getresuid(), *os.getresgid()) != (*[uid] * 3, *[gid] * 3):
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    # Changing the uid clears them too, unless whoever started us set securebits (capabilities(7)).
    _libc.capset(_header(), bytes(24))
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise PrivilegeError("the pipeline could not renounce new privileges (prctl failed)")
    if {*os.getresuid()} != {uid} or {*os.getresgid()} != {gid} or 0 in (uid, gid) or _permitted():
        raise PrivilegeError(
            "the pipeline could not give up its privileges. Start the agent as root or with CAP_SETUID, "
            "CAP_SETGID and CAP_SETPCAP, so that it can."
        )


def renounce(uid: int, gid: int, keep: Iterable[int]) -> None:
    """In a forked child: nothing of its parent's but ``keep`` and the standard streams, and no privilege."""
    gc.collect()  # finalizers of the parent's objects must not run later
    close_others(keep)
    drop_privileges(uid, gid)


def _drop_bounding_set(keep: int) -> None:
    for capability in range(_LAST_CAPABILITY + 1):
        if not keep >> capability & 1:
            # EINVAL past the kernel's last one; EPERM without CAP_SETPCAP
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _header() -> bytes:
    return struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)


def _permitted() -> int:
    """Those that this thread has or could take."""
    with Path("/proc/thread-self/status").open(encoding="utf-8") as status:
        for line in status:
            if line.startswith("CapPrm:"):
                return int(line.split()[1], 16)
    raise PrivilegeError("/proc/thread-self/status does not tell which capabilities this process has")
