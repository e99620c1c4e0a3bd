# SPDX-License-Identifier: Apache-2.0
"""Text in numbered lines. A long line is cut with a link to its rest. Offsets of pages are characters."""

from otel_qtap.viewer.markup import Html, element, join
from otel_qtap.viewer.views.view import LONGEST_LINE, PAGE_CHARACTERS, PAGE_ROWS, Content, Link, View


def render(content: Content, offset: int, link: Link) -> View:
    """The text from ``offset``; the line that begins before it is shown uncut."""
    whole = content.text()
    first = min(offset, len(whole))
    continued = first > 0 and whole[first - 1] != "\n"
    rows: list[Html] = []
    position = first
    room = PAGE_CHARACTERS
    while position < len(whole) and room > 0 and len(rows) < PAGE_ROWS:
        end = whole.find("\n", position)
        end = len(whole) if end < 0 else end
        is_rest = continued and not rows
        cut = min(end, position + (room if is_rest else LONGEST_LINE))
        room -= cut - position + 1
        rest = None
        if cut < end and not is_rest:
            rest = element("a", f"{end - cut:,} more characters", class_="rest", href=link("text", cut))
            rest = join(Html(" "), rest)
        shown = whole[position:cut].removesuffix("\r") if cut == end else whole[position:cut]
        rows.append(element("li", element("code", shown), rest))
        position = cut if cut < end and rest is None else end + 1
    position = min(position, len(whole))
    start = whole.count("\n", 0, first) + 1
    return View(
        html=element("ol", *rows, class_="lines", start=str(start), tabindex="0"),
        shown=""
        if (first, position) == (0, len(whole))
        else f"characters {first:,} to {position:,} of {len(whole):,}",
        previous=max(first - PAGE_CHARACTERS, 0) if first else None,
        next=position if position < len(whole) else None,
    )
