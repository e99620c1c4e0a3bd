# SPDX-License-Identifier: Apache-2.0
"""Where functions start and end by .eh_frame (LSB core specification, 10.6) and its sorted table."""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable

_HEADER = 12


class UnwindTable:
    """The functions that an .eh_frame_hdr lists.

    ``address`` and ``header`` are the place and the bytes of the header with its table, ``read_at`` yields
    bytes at a virtual address, or raises. Tables of another kind than linkers write count as empty.
    """

    def __init__(self, address: int, header: bytes, read_at: Callable[[int, int], bytes]) -> None:
        self._address = address
        self._read_at = read_at
        table = array("i")
        # Version 1, count as udata4, table of sdata4 relative to the header.
        if len(header) >= _HEADER and header[0] == 1 and header[2:4] == b"\x03\x3b":
            count = min(struct.unpack_from("<I", header, 8)[0], (len(header) - _HEADER) // 8)
            table.frombytes(header[_HEADER : _HEADER + 8 * count])
        self._starts = table[::2]
        self._entries = table[1::2]

    def size_of(self, start: int) -> int:
        """Size in bytes of the function that starts here; 0 when none is listed."""
        found = self.containing(start)
        return found[1] - start if found and found[0] == start else 0

    def containing(self, address: int) -> tuple[int, int] | None:
        """Start and end of the function that holds this address, if one is listed."""
        at = bisect_right(self._starts, address - self._address) - 1
        if at < 0:
            return None
        start = self._address + self._starts[at]
        entry = self._address + self._entries[at]
        length, _, begin, size = struct.unpack("<IIiI", self._read_at(entry, 16))
        # The initial location must repeat the start, relative to itself (DW_EH_PE_pcrel|sdata4).
        if length < 12 or entry + 8 + begin != start or address >= start + size:
            return None
        return start, start + size


NO_UNWIND_TABLE = UnwindTable(0, b"", lambda _address, _size: b"")
