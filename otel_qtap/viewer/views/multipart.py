# SPDX-License-Identifier: Apache-2.0
"""The parts of a multipart body (RFC 2046, 5.1), listed with their fields and their beginning.

Offsets of pages are parts.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from otel_qtap.viewer.markup import Html, element, line
from otel_qtap.viewer.views.hexdump import ROW_BYTES
from otel_qtap.viewer.views.view import LONGEST_LINE, Content, Link, View

PAGE_PARTS = 50
MOST_PARTS = 100_000
"""Parts that pages reach: each page begins at the first part, to find its own."""
_HEAD_BYTES = 8192
_HEX_PREVIEW = 8 * ROW_BYTES


class _Part(NamedTuple):
    first: int
    """Byte offset in the body of the part's own body."""
    last: int
    """One past its end."""
    fields: str


def render(content: Content, offset: int, link: Link) -> View:
    """The parts from ``offset`` on."""
    offset = min(offset, MOST_PARTS)
    parts = list(islice(_parts(content), offset, offset + PAGE_PARTS + 1))
    more = len(parts) > PAGE_PARTS
    rows = [_show(content, number, part, link) for number, part in enumerate(parts[:PAGE_PARTS], offset + 1)]
    last = offset + len(rows)
    return View(
        html=element("div", *rows, class_="parts")
        if rows
        else element("p", "No parts were found.", class_="note"),
        shown=f"parts {offset + 1:,} to {last:,}" if offset or more else "",
        previous=max(offset - PAGE_PARTS, 0) if offset else None,
        next=last if more and last <= MOST_PARTS else None,
    )


def _show(content: Content, number: int, part: _Part, link: Link) -> Html:
    size = part.last - part.first
    beginning = content.data[part.first : min(part.last, part.first + LONGEST_LINE)]
    try:
        preview = element("pre", beginning.decode("utf-8").replace("\r\n", "\n"), class_="preview")
    except UnicodeDecodeError:
        preview = element("pre", beginning[:_HEX_PREVIEW].hex(" "), class_="preview")
    return element(
        "section",
        element("h4", f"Part {number}, {size:,} bytes"),
        element(
            "ul",
            *(element("li", element("code", line(item))) for item in part.fields.splitlines()),
            class_="plain",
        ),
        preview,
        element("a", "all of it in hex", class_="rest", href=link("hex", part.first))
        if size > len(beginning)
        else None,
    )


def _parts(content: Content) -> Iterator[_Part]:
    data = content.data
    delimiter = b"--" + content.boundary.encode("utf-8", "replace")
    at = 0 if data.startswith(delimiter) else data.find(b"\n" + delimiter) + 1
    if not data.startswith(delimiter, at):
        return
    while at >= 0:
        begin = data.find(b"\n", at) + 1
        if not begin or data.startswith(b"--", at + len(delimiter)):
            return
        following = data.find(b"\n" + delimiter, begin - 1)
        end = len(data) if following < 0 else following
        if end > begin and data[end - 1 : end] == b"\r" and following >= 0:
            end -= 1
        end = max(end, begin)
        yield _part(data, begin, end)
        at = following + 1 if following >= 0 else -1


def _part(data: bytes, begin: int, end: int) -> _Part:
    for blank_line in (b"\r\n", b"\n"):
        if data.startswith(blank_line, begin, end):
            return _Part(begin + len(blank_line), end, "")
    for mark in (b"\r\n\r\n", b"\n\n"):
        blank = data.find(mark, begin, min(end, begin + _HEAD_BYTES))
        if blank >= 0:
            fields = data[begin:blank].decode("utf-8", "surrogateescape")
            return _Part(blank + len(mark), end, fields)
    return _Part(begin, end, "")
