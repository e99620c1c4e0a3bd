# SPDX-License-Identifier: Apache-2.0
"""Numbers of probed files: what the kernel side knows a file's TLS objects by."""

import contextlib
import logging
import struct
import time
from collections import deque

from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_update
from otel_qtap.conditions import Condition
from otel_qtap.probes.spec import MAX_FILES, ObjectLayout

logger = logging.getLogger(__name__)

_EVERY_FILE = 0
"""QTAP_EVERY_FILE: no file has this number."""
_VERDICT_NS = 50_000_000
"""QTAP_VERDICT_NS: for so long, threads may still take their process for excluded."""


class FileNumbers:
    """Hands numbers out and keeps the maps ``layouts`` and ``probed_since`` by them.

    A number that comes back is used again after all others, for events of its file may be on their way.
    """

    def __init__(self, session: KernelSession) -> None:
        self._map = session.maps["layouts"]
        self._since = session.maps["probed_since"]
        self._free = deque(range(1, MAX_FILES))
        self._left = Condition(logger, "otel_qtap.probes.numbers")
        self._write_since(_EVERY_FILE, 1)

    def take(self, layout: ObjectLayout) -> int:
        """A number for a file whose objects are laid out like this; 0 when there is none left, or the kernel
        side cannot be told: such a file is probed all the same, with less known of its objects."""
        if not self._free:
            self._left.fail(
                "all file numbers are in use",
                "%d libraries are probed, which is as many as have numbers: connections of further ones are "
                "captured, but are not joined without a header and may have no addresses",
                MAX_FILES - 1,
            )
            return 0
        number = self._free.popleft()
        try:
            map_update(self._map, struct.pack("<I", number), layout.pack())
        except OSError:
            self._free.append(number)
            return 0
        return number

    def attached(self, number: int) -> None:
        """All probes of the file are in place: from now on no byte goes by them."""
        if number:
            self._write_since(number, _now_ns())

    def included_more(self) -> None:
        """Processes that were excluded are not any more: what they carried before was not counted."""
        self._write_since(_EVERY_FILE, _now_ns() + _VERDICT_NS)

    def give_back(self, number: int) -> None:
        """The file is not probed any more."""
        if not number:
            return
        self._write_since(number, 0)
        with contextlib.suppress(OSError):  # the next file with this number writes its own
            map_update(self._map, struct.pack("<I", number), ObjectLayout().pack())
        self._free.append(number)
        self._left.recover("the next library that is probed has a number again")

    def _write_since(self, number: int, time_ns: int) -> None:
        with contextlib.suppress(OSError):  # then connections do not count as seen from their handshake
            map_update(self._since, struct.pack("<I", number), struct.pack("<Q", time_ns))


def _now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
