# SPDX-License-Identifier: Apache-2.0
"""The fields of a form (application/x-www-form-urlencoded), decoded. Offsets of pages are fields."""

from urllib.parse import unquote_to_bytes

from otel_qtap.viewer.markup import element, line
from otel_qtap.viewer.views.view import LONGEST_LINE, PAGE_ROWS, Content, Link, View


def render(content: Content, offset: int, link: Link) -> View:
    """A table of the fields from ``offset`` on."""
    fields = content.data.split(b"&")
    rows = []
    for field in fields[offset : offset + PAGE_ROWS]:
        name, _, value = field.partition(b"=")
        rows.append(
            element(
                "tr", element("th", _text(name), scope="row"), element("td", element("code", _text(value)))
            )
        )
    last = min(offset + PAGE_ROWS, len(fields))
    return View(
        html=element("table", element("tbody", *rows), class_="fields"),
        shown=""
        if (offset, last) == (0, len(fields))
        else f"fields {offset + 1:,} to {last:,} of {len(fields):,}",
        previous=max(offset - PAGE_ROWS, 0) if offset else None,
        next=last if last < len(fields) else None,
    )


def _text(encoded: bytes) -> str:
    shown = encoded[: 3 * LONGEST_LINE].replace(b"+", b" ")
    decoded = unquote_to_bytes(shown).decode("utf-8", "surrogateescape")
    if len(decoded) > LONGEST_LINE or len(encoded) > 3 * LONGEST_LINE:
        return line(f"{decoded[:LONGEST_LINE]}… (cut; the text view has all)")
    return line(decoded)
