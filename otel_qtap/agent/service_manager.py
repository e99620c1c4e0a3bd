# SPDX-License-Identifier: Apache-2.0
"""What a service manager is told of us, by the protocol of sd_notify(3): datagrams to a socket it names."""

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping


class ServiceManager:
    """The one that started us, if it asked to be told; else nothing is said.

    Takes its variables out of ``environ``, so that no child speaks in our name.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        ours = usec.isdecimal() and pid in ("", str(os.getpid()))
        self._pause = int(usec) / 2e6 if ours else 0.0
        """Half of the time within which it wants to hear from us, in seconds; 0 if it does not."""
        self._next = 0.0

    def ready(self, status: str) -> None:
        """The service is up, or a reload is over."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self) -> None:
        """The service goes down."""
        self._tell("STOPPING=1", "STATUS=draining")

    def alive(self, now: float) -> None:
        """All is well, at ``now`` (``time.monotonic``); call often, it is told when due."""
        if self._pause and now >= self._next:
            self._next = now + self._pause
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(lines).encode(), self._address)
