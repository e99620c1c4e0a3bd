# SPDX-License-Identifier: Apache-2.0
"""What every view is given and gives. All are functions ``render(content, offset, link)``, pure."""

from collections.abc import Callable
from dataclasses import dataclass

from otel_qtap.viewer.markup import Html

LONGEST_LINE = 2_000
"""Characters of a line, a string or a value before it is cut with a link to its rest."""
PAGE_CHARACTERS = 64 << 10
PAGE_ROWS = 1_000

Link = Callable[[str, int], str]
"""The address of this body in a view from an offset on, both given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body without its content codings."""

    data: bytes
    media_type: str
    """As declared, in lower case, without parameters."""
    charset: str
    """A codec's name."""
    boundary: str = ""
    """Of a multipart body."""

    def text(self) -> str:
        """All of it as text. Bytes that are none become surrogate escapes where the charset allows that."""
        errors = "surrogateescape" if self.charset in ("utf-8", "ascii") else "replace"
        return self.data.decode(self.charset, errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One page of a view. Offsets are in the view's own unit; None where there is no such page."""

    html: Html
    shown: str
    """What part of the whole this page is, in words; empty where it is all."""
    previous: int | None = None
    next: int | None = None
