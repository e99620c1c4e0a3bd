# SPDX-License-Identifier: Apache-2.0
"""How TLS connections ended, as the kernel side counts: with plaintext captured of them, or without."""

import mmap
import struct

from otel_qtap.capture.syscalls import PAGE_BYTES


class Endings:
    """Counts since the programs were loaded (enum qtap_ended), an array of u64 mapped read-only.

    Only connections of which a hello was seen. ``missed`` has those of which no plaintext was captured, or
    none that could be bound to its socket; handshakes that failed are among them.
    """

    NAMES = ("captured", "missed")

    def __init__(self, map_fd: int) -> None:
        self._page = mmap.mmap(map_fd, PAGE_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)

    def read(self) -> dict[str, int]:
        """Each name with its count."""
        values = struct.unpack_from(f"<{len(self.NAMES)}Q", self._page)
        return dict(zip(self.NAMES, values, strict=True))
