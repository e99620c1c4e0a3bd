# SPDX-License-Identifier: Apache-2.0
"""The Go version that a file was built with (package debug/buildinfo of Go's standard library)."""

from otel_qtap.discovery.elf import PT_LOAD
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.golang.image import GoImage

_MAGIC = b"\xff Go buildinf:"
_ALIGNMENT = 16
_HEADER_BYTES = 32
_INLINE_STRINGS = 2
"""Flag of Go 1.18 and later: the strings follow the header instead of being pointed to."""
_MAX_VERSION = 256


def go_version(image: GoImage) -> str:
    """For example ``1.26.8``, or with what a distribution adds; empty where it is not told."""
    try:
        place = _place(image)
        if place is None:
            return ""
        header = image.elf.read(place, _HEADER_BYTES)
        if header[15] & _INLINE_STRINGS:
            raw = _inline(image.elf.read(place + _HEADER_BYTES, min(_MAX_VERSION, image.size - place - 32)))
        else:
            text = image.pointer(image.address(place) + 16)
            size = min(image.number(text + 8), _MAX_VERSION)
            raw = image.elf.read(image.offset(image.pointer(text)), size)
    except ElfError:
        return ""
    version = raw.decode("ascii", "replace")
    return version.removeprefix("go") if version.isprintable() else ""


def _place(image: GoImage) -> int | None:
    section = image.section(".go.buildinfo")
    if section and image.elf.read(section.offset, len(_MAGIC)) == _MAGIC:
        return section.offset
    for segment in image.elf.segments:
        if segment.kind == PT_LOAD:
            for found in image.find(_MAGIC, segment.offset, segment.offset + segment.size):
                if found % _ALIGNMENT == 0:
                    return found
    return None


def _inline(data: bytes) -> bytes:
    """A string with its length before it, as encoding/binary's Uvarint."""
    size = shift = 0
    for at, byte in enumerate(data[:3]):
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return data[at + 1 : at + 1 + min(size, _MAX_VERSION)]
    return b""
