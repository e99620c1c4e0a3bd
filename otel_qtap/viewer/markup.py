# SPDX-License-Identifier: Apache-2.0
"""HTML that cannot hold an unescaped byte.

Every piece of a page is made here. A ``str`` is text and is escaped; only ``element``, ``text`` and ``join``
make ``Html``, which is not escaped again. Whatever cannot be printed (control characters, among them
those of terminals; characters that turn the direction of text or have no width; halves of surrogate
pairs) becomes a visible symbol.
"""

import re
from collections.abc import Iterable
from html import escape
from itertools import groupby
from unicodedata import category

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
_RUNS = re.compile(r"[^ -~\n\t]+")
"""Whatever is not printable ASCII is looked at, character by character."""


# In letters: Unicode has pictures of them that few fonts have.
_CONTROLS = (
    *(
        "NUL",
        "SOH",
        "STX",
        "ETX",
        "EOT",
        "ENQ",
        "ACK",
        "BEL",
        "BS",
        "TAB",
        "LF",
        "VT",
        "FF",
        "CR",
        "SO",
        "SI",
    ),
    *(
        "DLE",
        "DC1",
        "DC2",
        "DC3",
        "DC4",
        "NAK",
        "SYN",
        "ETB",
        "CAN",
        "EM",
        "SUB",
        "ESC",
        "FS",
        "GS",
        "RS",
        "US",
    ),
)


class Html(str):
    """Markup that is safe to send as it is."""

    __slots__ = ()


def text(content: str) -> Html:
    """Text as markup; line breaks and tabs stay what they are."""
    if content.isascii() and content.isprintable():
        return Html(escape(content))
    pieces = []
    end = 0
    for run in _RUNS.finditer(content):
        pieces += [escape(content[end : run.start()]), _visible(run[0])]
        end = run.end()
    return Html("".join(pieces) + escape(content[end:]))


def line(content: str) -> Html:
    """Text as markup on one line: line breaks and tabs are shown as symbols, too."""
    if "\n" not in content and "\t" not in content:
        return text(content)
    pieces = re.split(r"([\n\t]+)", content)
    return Html("".join(_symbols(piece) if piece[:1] in "\n\t" else text(piece) for piece in pieces if piece))


def element(name: str, /, *children: str | None, **attributes: str | bool | None) -> Html:
    """One element. Names are the code's own; ``class_`` is class and ``aria_label`` is aria-label."""
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        spelt = key.rstrip("_").replace("_", "-")
        parts.append(f" {spelt}" if value is True else f' {spelt}="{escape(_plain(str(value)))}"')
    parts.append(">")
    if name not in _VOID:
        parts += [join(*children), f"</{name}>"]
    return Html("".join(parts))


def join(*children: str | None) -> Html:
    """Pieces one behind the other."""
    return Html("".join(child if isinstance(child, Html) else text(child) for child in children if child))


def _visible(run: str) -> str:
    if run.isprintable():
        return run
    return "".join(
        "".join(characters) if harmless else _symbols(characters)
        for harmless, characters in groupby(run, _is_harmless)
    )


def _is_harmless(character: str) -> bool:
    """Whether it shows as what it is; spaces of all widths do."""
    return character.isprintable() or category(character) == "Zs"


def _symbols(unprintable: Iterable[str]) -> str:
    return f'<span class="symbol">{"".join(map(_symbol, unprintable))}</span>'


def _symbol(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return f"[{_CONTROLS[code]}]"
    if code == 0x7F:
        return "[DEL]"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not of the text's encoding ("surrogateescape")
        return f"[{code - 0xDC00:02X}]"
    return f"[U+{code:04X}]"


def _plain(value: str) -> str:
    """Of an attribute: no markup fits there, so symbols stand alone."""
    if value.isprintable():
        return value
    return "".join(item if _is_harmless(item) else _symbol(item) for item in value)
