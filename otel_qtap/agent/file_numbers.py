# SPDX-License-Identifier: Apache-2.0
"""Numbers of probed files: what the kernel side knows a file's TLS objects by."""

import contextlib
import struct
from collections import deque

from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_update
from otel_qtap.probes.spec import MAX_FILES, ObjectLayout


class FileNumbers:
    """Hands numbers out and keeps the map ``layouts`` by them.

    A number that comes back is used again after all others, for events of its file may be on their way.
    """

    def __init__(self, session: KernelSession) -> None:
        self._map = session.maps["layouts"]
        self._free = deque(range(1, MAX_FILES))

    def take(self, layout: ObjectLayout) -> int:
        """A number for a file whose objects are laid out like this; 0 when there is none left, or the kernel
        side cannot be told: such a file is probed all the same, with less known of its objects."""
        if not self._free:
            return 0
        number = self._free.popleft()
        try:
            map_update(self._map, struct.pack("<I", number), layout.pack())
        except OSError:
            self._free.append(number)
            return 0
        return number

    def give_back(self, number: int) -> None:
        """The file is not probed any more."""
        if not number:
            return
        with contextlib.suppress(OSError):  # the next file with this number writes its own
            map_update(self._map, struct.pack("<I", number), ObjectLayout().pack())
        self._free.append(number)
