# SPDX-License-Identifier: Apache-2.0
"""Giving privileges up for good (capabilities(7), prctl(2))."""

import ctypes
import os
import resource
from pathlib import Path

from otel_qtap.errors import PrivilegeError

_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_LAST_CAPABILITY = 63

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
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise PrivilegeError("the pipeline could not renounce new privileges (prctl failed)")
    if os.geteuid() == 0 or _effective_capabilities():
        raise PrivilegeError(
            "the pipeline could not give up its privileges. Start the agent as root or with CAP_SETUID, "
            "CAP_SETGID and CAP_SETPCAP, so that it can."
        )


def _effective_capabilities() -> int:
    with Path("/proc/thread-self/status").open(encoding="utf-8") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0
