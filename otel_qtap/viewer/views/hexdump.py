# SPDX-License-Identifier: Apache-2.0
"""Offsets, bytes, characters: sixteen to a line. Offsets of pages are bytes."""

from otel_qtap.viewer.markup import element
from otel_qtap.viewer.views.view import Content, Link, View

ROW_BYTES = 16
PAGE_BYTES = 16 << 10
_SHOWN = bytes(code if 0x20 <= code < 0x7F else 0x2E for code in range(256))


def render(content: Content, offset: int, link: Link) -> View:
    """The bytes from ``offset``, which is rounded down to a line's begin."""
    data = content.data
    first = min(offset, max(len(data) - 1, 0)) // ROW_BYTES * ROW_BYTES
    end = min(first + PAGE_BYTES, len(data))
    rows = "\n".join(
        _row(data[start : min(start + ROW_BYTES, end)], start) for start in range(first, end, ROW_BYTES)
    )
    return View(
        html=element("pre", rows, class_="hex", tabindex="0"),
        shown="" if (first, end) == (0, len(data)) else f"bytes {first:,} to {end - 1:,} of {len(data):,}",
        previous=max(first - PAGE_BYTES, 0) if first else None,
        next=end if end < len(data) else None,
    )


def _row(row: bytes, start: int) -> str:
    left, right = row[:8].hex(" "), row[8:].hex(" ")
    return f"{start:08x}  {left:23}  {right:23}  {row.translate(_SHOWN).decode('ascii')}"
