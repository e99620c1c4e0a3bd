# SPDX-License-Identifier: Apache-2.0
"""Tells at once which files are written to, by inotify(7).

Programs are often replaced by copying others over them. The kernel then puts breakpoints into the new code at
the places that were found in the old, and who runs it next crashes.
"""

import ctypes
import errno
import logging
import os
import struct
from collections import Counter
from typing import NamedTuple

from otel_qtap.conditions import Condition
from otel_qtap.discovery.plan import FileIdentity

logger = logging.getLogger(__name__)

_IN_MODIFY = 0x2
_IN_Q_OVERFLOW = 0x4000
_EVENT = struct.Struct("<iIII")
"""struct inotify_event, without the name that only watched directories tell."""
_READ_BYTES = 65536
_LIMITS = {
    os.strerror(errno.EMFILE): "fs.inotify.max_user_instances",
    os.strerror(errno.ENOSPC): "fs.inotify.max_user_watches",
}
"""Which sysctl stands behind a refusal."""

_libc = ctypes.CDLL(None, use_errno=True)


class Written(NamedTuple):
    """What was heard of."""

    watches: frozenset[int]
    """Of the files that were written to."""
    is_incomplete: bool
    """Whether there were more than the kernel kept."""


class WriteWatch:
    """Files that are watched, by numbers that stand for their watches.

    Not told of: writes to a shared mapping, and those that another host makes to a network file system.
    """

    def __init__(self) -> None:
        self._condition = Condition(logger, "otel_qtap.probes.watch")
        self._uses: Counter[int] = Counter()
        """The kernel has one watch for an inode, however often it is asked for one."""
        try:
            self._descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            self._descriptor = -1
            self._fail(error)

    @property
    def descriptor(self) -> int | None:
        """Readable when there is news; None where nothing can be watched."""
        return self._descriptor if self._descriptor >= 0 else None

    def add(self, path: str, identity: FileIdentity) -> int | None:
        """Watch the file that a path leads to if it is this one; None: it is not, or cannot be watched."""
        if self._descriptor < 0:
            return None
        try:
            file = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return None  # nobody can probe it either
        try:
            found = os.fstat(file)
            if (found.st_dev, found.st_ino) != (identity.device, identity.inode):
                return None
            place = f"/proc/self/fd/{file}".encode()
            watch = _checked(_libc.inotify_add_watch(self._descriptor, place, _IN_MODIFY))
        except OSError as error:
            self._fail(error)
            return None
        finally:
            os.close(file)
        if self._condition.state.reason in _LIMITS:
            self._condition.recover("probed files can be watched for writes again")
        self._uses[watch] += 1
        return watch

    def remove(self, watch: int) -> None:
        """Hear no more of a file."""
        self._uses[watch] -= 1
        if self._uses[watch] <= 0:
            del self._uses[watch]
            _libc.inotify_rm_watch(
                self._descriptor, watch
            )  # the kernel removes it itself with its file system

    def written(self) -> Written:
        """What was heard of since this was last asked."""
        watches: set[int] = set()
        is_incomplete = False
        while events := self._read():
            at = 0
            while at < len(events):
                watch, mask, _, name_bytes = _EVENT.unpack_from(events, at)
                at += _EVENT.size + name_bytes
                is_incomplete |= bool(mask & _IN_Q_OVERFLOW)
                if mask & _IN_MODIFY:
                    watches.add(watch)
        return Written(frozenset(watches), is_incomplete)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._uses.clear()

    def _read(self) -> bytes:
        if self._descriptor < 0:
            return b""
        try:
            return os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return b""

    def _fail(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        advice = f": raise {limit}" if (limit := _LIMITS.get(reason)) else ""
        self._condition.fail(
            reason,
            "not all probed files can be watched for writes (%s)%s. One that is overwritten in place keeps "
            "its probes until the next look around, and they may crash who runs it meanwhile",
            reason,
            advice,
        )


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
