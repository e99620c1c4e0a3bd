# SPDX-License-Identifier: Apache-2.0
"""JSON with its tokens on lines of their own. Offsets of pages are lines.

Tokens are moved and never changed: duplicate keys, numbers of any size and escapes stay as they were
sent. What is cut off or is no JSON from some point on is shown from there as it is.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from otel_qtap.viewer.markup import Html, element, join, line
from otel_qtap.viewer.views.view import LONGEST_LINE, PAGE_CHARACTERS, PAGE_ROWS, Content, Link, View

MOST_LINES = 1_000_000
"""Lines that pages reach: each begins to look for its own at the first. The text view has no such end."""
_DEEPEST_INDENT = 40
_MOST_TOKENS_A_LINE = 64
_INDENT = "  "
_TOKEN = re.compile(
    r"""[ \t\r\n]*+(?:
    (?P<string>"(?:[^"\\]++|\\.)*+"?)
    | (?P<number>-?[0-9][0-9.eE+\-]*+)
    | (?P<word>true|false|null)\b
    | (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<comma>,)
    | (?P<colon>:)
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"[ \t\r\n]*")
_BEGIN = re.compile(r"\ufeff?[ \t\r\n]*+(?:[\[{]|[\"\-0-9tfn])")
_CLOSING = {"[": "]", "{": "}"}


class _Token(NamedTuple):
    kind: str
    text: str
    position: int
    """Of its first character in the whole text."""


def fits(content: Content) -> bool:
    """Whether it is JSON by name, or looks like an object or an array."""
    begin = _BEGIN.match(content.data[:_MOST_TOKENS_A_LINE].decode(content.charset, "replace"))
    if begin is None:
        return False
    named = "json" in content.media_type
    return named or (content.media_type in ("", "application/octet-stream") and begin[0][-1] in "[{")


def render(content: Content, offset: int, link: Link) -> View:
    """The lines from ``offset`` on."""
    offset = min(offset, MOST_LINES)
    lines = _lines(content.text())
    if offset:
        next(islice(lines, offset - 1, offset), None)
    rows: list[Html] = []
    characters = 0
    more = False
    for depth, tokens in lines:
        if len(rows) >= PAGE_ROWS or characters > PAGE_CHARACTERS:
            more = True
            break
        indent = _INDENT * min(depth, _DEEPEST_INDENT)
        rows.append(element("li", element("code", indent, *(_show(token, link) for token in tokens))))
        characters += len(indent) + sum(min(len(token.text), LONGEST_LINE) for token in tokens)
    last = offset + len(rows)
    return View(
        html=element("ol", *rows, class_="lines json", start=str(offset + 1), tabindex="0"),
        shown=f"lines {offset + 1:,} to {last:,}" if offset or more else "",
        previous=max(offset - PAGE_ROWS, 0) if offset else None,
        next=last if more and last <= MOST_LINES else None,
    )


def _show(token: _Token, link: Link) -> Html:
    shown = token.text[:LONGEST_LINE]
    piece = line(shown) if token.kind == "plain" else element("span", line(shown), class_=token.kind)
    left = len(token.text) - len(shown)
    if not left:
        return piece
    rest = link("text", token.position + LONGEST_LINE)
    return join(piece, Html(" "), element("a", f"{left:,} more characters", class_="rest", href=rest))


def _lines(whole: str) -> Iterator[tuple[int, list[_Token]]]:
    """Depth and tokens of each line."""
    depth = 0
    row: list[_Token] = []
    tokens = _tokens(whole)
    token = next(tokens, None)
    while token is not None:
        following = next(tokens, None)
        match token.kind:
            case "open":
                row.append(token)
                if following is not None and following.text == _CLOSING[token.text]:
                    row.append(following)
                    token, following = following, next(tokens, None)
                else:
                    yield depth, row
                    row = []
                    depth += 1
            case "close":
                if row:
                    yield depth, row
                depth = max(depth - 1, 0)
                row = [token]
            case "comma":
                yield depth, [*row, token]
                row = []
            case "colon":
                row += [token, _Token("plain", " ", token.position)]
            case "string" if following is not None and following.kind == "colon":
                row.append(token._replace(kind="key"))
            case _:
                row.append(token)
        ends_here = token.kind not in ("colon", "open", "comma") and (
            following is None or following.kind not in ("comma", "colon", "close")
        )
        if row and (ends_here or len(row) >= _MOST_TOKENS_A_LINE):
            yield depth, row
            row = []
        token = following
    if row:
        yield depth, row


def _tokens(whole: str) -> Iterator[_Token]:
    """The tokens, and behind the last one all that is none, line by line."""
    position = 1 if whole.startswith("\ufeff") else 0
    while match := _TOKEN.match(whole, position):
        kind = match.lastgroup or ""
        position = match.end()
        yield _Token(kind, match[kind], match.start(kind))
    position = _SPACE.match(whole, position).end()  # type: ignore[union-attr]  # it matches anything
    while position < len(whole):
        end = whole.find("\n", position)
        end = len(whole) if end < 0 else end
        yield _Token("plain", whole[position:end], position)
        position = end + 1
