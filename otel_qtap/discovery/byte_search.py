# SPDX-License-Identifier: Apache-2.0
"""Searches parts of a file for byte strings: in windows, with memmem(3), at some GB/s."""

import ctypes
import os
from collections.abc import Iterable, Iterator

from otel_qtap.discovery.elf import ElfError, Extent

_WINDOW = 512 << 10
"""Fits the processor's cache, so that each string after the first is looked for there."""

_memmem = ctypes.CDLL(None).memmem
_memmem.restype = ctypes.c_void_p
_memmem.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)


def positions(piece: bytes, text: bytes) -> Iterator[int]:
    """Where in ``piece`` each occurrence of ``text`` begins; several times as fast as ``bytes.find``."""
    base = ctypes.cast(ctypes.c_char_p(piece), ctypes.c_void_p).value or 0
    at = 0
    while found := _memmem(base + at, len(piece) - at, text, len(text)):
        yield found - base
        at = found - base + 1


def found_in(descriptor: int, extents: Iterable[Extent], wanted: Iterable[bytes]) -> set[bytes]:
    """Which of the ``wanted`` are in these parts of an open file; stops when all are.

    None is longer than 256 bytes. Raises ElfError when the file cannot be read.
    """
    missing = set(wanted)
    found: set[bytes] = set()
    overlap = max(map(len, missing), default=1) - 1
    buffer: bytearray | None = None
    for start, size in extents:
        offset, end = start, start + size
        if buffer is None or len(buffer) < min(size, _WINDOW):
            buffer = bytearray(min(max(size, 4096), _WINDOW))
        view = memoryview(buffer)
        address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        while offset < end and missing:
            try:
                length = os.preadv(descriptor, [view[: min(len(buffer), end - offset)]], offset)
            except (OSError, OverflowError) as error:
                raise ElfError(f"cannot be read: {error}") from None
            here = {text for text in missing if _memmem(address, length, text, len(text))}
            missing -= here
            found |= here
            if length <= overlap or offset + length >= end:
                break
            offset += length - overlap
        if not missing:
            break
    return found
