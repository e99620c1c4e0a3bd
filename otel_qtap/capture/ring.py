# SPDX-License-Identifier: Apache-2.0
"""A BPF ring buffer read by mmap: no privilege, no library, no callback into C.

Layout (kernel/bpf/ringbuf.c): one page with the consumer position (writable), then one page with
the producer position and the data, mapped twice in a row so that no record wraps. A record is an
8-byte header (length with two flag bits, page offset) and its bytes, aligned to 8.

x86-64 keeps loads in order, so plain reads of the positions are safe there; other machines are
refused by ``RingBuffer``.
"""

import mmap
import platform
import struct
from collections.abc import Callable
from typing import NamedTuple

from otel_qtap.capture.syscalls import PAGE_BYTES
from otel_qtap.errors import CaptureError

_BUSY = 1 << 31
_DISCARDED = 1 << 30
_LENGTH = (1 << 30) - 1

RecordHandler = Callable[[memoryview, int, int], None]
"""Called with the ring's memory, the offset of a record's bytes and their number; must copy what it keeps."""


class RingBuffer:
    """The consumer's end of one ring of ``size`` bytes (a power of two)."""

    def __init__(self, map_fd: int, size: int) -> None:
        if platform.machine() != "x86_64":
            raise CaptureError(f"reading the ring on {platform.machine()} is not supported; x86_64 is")
        read_write = mmap.PROT_READ | mmap.PROT_WRITE
        self._consumer_page = mmap.mmap(map_fd, PAGE_BYTES, mmap.MAP_SHARED, read_write)
        self._producer_pages = mmap.mmap(
            map_fd, PAGE_BYTES + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE_BYTES
        )
        self._consumer = memoryview(self._consumer_page).cast("Q")
        whole = memoryview(self._producer_pages)
        self._producer = whole[:8].cast("Q")
        self._data = whole[PAGE_BYTES:]
        self._lengths = whole[PAGE_BYTES : PAGE_BYTES + size].cast("I")
        self._mask = size - 1
        self.size = size

    @property
    def producer_position(self) -> int:
        """Bytes ever reserved in the ring."""
        return self._producer[0]

    @property
    def consumer_position(self) -> int:
        """Bytes ever read from the ring."""
        return self._consumer[0]

    def backlog(self) -> int:
        """Bytes that wait to be read."""
        return self._producer[0] - self._consumer[0]

    def drain(self, handle: RecordHandler, max_bytes: int) -> int:
        """Hand over committed records, oldest first, until ``max_bytes`` went by; returns the bytes."""
        position = start = self._consumer[0]
        end = min(self._producer[0], start + max_bytes)
        lengths, data, mask = self._lengths, self._data, self._mask
        try:
            while position < end:
                offset = position & mask
                header = lengths[offset >> 2]
                if header & _BUSY:
                    break
                length = header & _LENGTH
                position += (length + 15) & ~7
                if not header & _DISCARDED:
                    handle(data, offset + 8, length)
        finally:
            self._consumer[0] = position
        return position - start


class Loss(NamedTuple):
    """What was lost for one reason: kernel events, and bytes of plaintext in them."""

    events: int
    bytes: int


NEVER_SENT = "no_socket"
"""What a program wrote to a connection that was closed: counted, and no loss to be reported."""


class Counters:
    """The kernel side's losses by reason (enum qtap_loss), an array of u64 mapped read-only."""

    REASONS = (
        "ring_full",
        "call_too_large",
        "no_state",
        "control_ring_full",
        "process_ring_full",
        NEVER_SENT,
        "handshake_ring_full",
    )

    def __init__(self, map_fd: int) -> None:
        self._page = mmap.mmap(map_fd, PAGE_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)

    def read(self) -> dict[str, Loss]:
        """Losses since the programs were loaded."""
        count = len(self.REASONS)
        values = struct.unpack_from(f"<{2 * count}Q", self._page)
        return {
            reason: Loss(events, size)
            for reason, events, size in zip(self.REASONS, values[:count], values[count:], strict=True)
        }
