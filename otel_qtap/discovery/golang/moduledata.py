# SPDX-License-Identifier: Apache-2.0
"""Where the text that pclntab's entries count from starts, for every way of linking.

The header of the table tells it up to Go 1.25. From 1.26 on, ``runtime.moduledata`` does: its first word
points to the table. The start of ``.text`` is not it where C code was linked in before.
"""

from itertools import chain

from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.golang.image import GoImage
from otel_qtap.discovery.golang.pclntab import Pclntab

_MIN_PC, _TEXT = 160, 176
"""Places in struct moduledata (runtime/symtab.go); the same from Go 1.18 to 1.26."""
_MAX_POINTERS = 64


def text_start(image: GoImage, tables: Pclntab) -> int:
    """A virtual address in the file's code. Raises ElfError when nothing tells it."""
    if tables.width == 8:
        return 0  # entries are addresses
    if tables.text and _is_code(image, tables.text):
        return tables.text
    table = image.address(tables.offset)
    section = image.section(".go.module")
    places = [section.address] if section else []
    for place in chain(places, image.pointers_to(table, _MAX_POINTERS)):
        try:
            text, first = image.pointer(place + _TEXT), image.pointer(place + _MIN_PC)
        except ElfError:
            continue
        if image.pointer(place) == table and first >= text and _is_code(image, text):
            return text
    raise ElfError("nothing tells where its text starts (moduledata)")


def _is_code(image: GoImage, address: int) -> bool:
    try:
        image.elf.file_offset(address)
    except ElfError:
        return False
    return True
