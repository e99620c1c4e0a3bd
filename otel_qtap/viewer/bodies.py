# SPDX-License-Identifier: Apache-2.0
"""A body for display: decoded within bounds, and the view that fits it.

What a message says of its body decides how it is shown, never how it is served: pages hold escaped text,
pictures are recognised by their own first bytes.
"""

import codecs
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from otel_qtap.errors import StoreError
from otel_qtap.objectstore.codings import decode
from otel_qtap.objectstore.reader import StoredRecord
from otel_qtap.viewer.messages import head_of, parameters
from otel_qtap.viewer.views import form, hexdump, image, json_text, multipart, text
from otel_qtap.viewer.views.view import Content, Link, View

DISPLAY_BYTES = 16 << 20
"""Most bytes of a decoded body that are looked at; the download has all."""
_PROBE_BYTES = 4096

VIEWS: Mapping[str, Callable[[Content, int, Link], View]] = MappingProxyType(
    {
        "image": image.render,
        "json": json_text.render,
        "form": form.render,
        "parts": multipart.render,
        "text": text.render,
        "hex": hexdump.render,
    }
)
"""By the word that stands for each in links."""

# Those of WHATWG's Encoding standard that Python has: others can be slow or can run code's escapes.
_CHARSETS = frozenset(
    {
        *("ascii", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "koi8-r", "koi8-u", "mac-roman"),
        *(f"iso8859-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
        *(f"cp{number}" for number in (866, 874, *range(1250, 1259))),
        *("big5", "gb2312", "gbk", "gb18030", "euc_kr", "euc_jp", "iso2022_jp", "shift_jis"),
    }
)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_TEXTUAL = ("xml", "javascript", "ecmascript", "yaml", "graphql", "csv", "toml", "sql", "x-sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What there is to show of a record's body."""

    content: Content
    views: tuple[str, ...]
    """Keys of VIEWS that fit, the best one first. Empty for an empty body."""
    note: str
    """What the content is not: still encoded, or cut for display. Empty where there is nothing to say."""


def body_of(record: StoredRecord) -> Body:
    """The body of a record."""
    raw, note = record.body, ""
    try:
        data, complete = decode(record.encoding, raw, DISPLAY_BYTES)
        if not complete:
            note = f"Only the first {DISPLAY_BYTES >> 20} MiB are shown."
    except StoreError as error:
        data, note = raw[:DISPLAY_BYTES], f"Shown as it was sent: {error}."
    head = head_of(record)
    media_type, given = parameters(head.first("content-type") if head else "")
    content = Content(
        data=data,
        media_type=media_type,
        charset=_charset(data, given.get("charset", "")),
        boundary=given.get("boundary", ""),
    )
    return Body(content=content, views=_fitting(content), note=note)


def _fitting(content: Content) -> tuple[str, ...]:
    if not content.data:
        return ()
    special = [
        name
        for name, fits in (
            ("image", image.media_type(content.data) != ""),
            ("json", json_text.fits(content)),
            ("form", content.media_type == "application/x-www-form-urlencoded"),
            ("parts", content.media_type.startswith("multipart/") and content.boundary != ""),
        )
        if fits
    ]
    rest = ("text", "hex") if _is_text(content) else ("hex", "text")
    return (*special, *rest)


def _is_text(content: Content) -> bool:
    """Whether a person would read it: by its name, and by having few control characters."""
    probe = content.data[:_PROBE_BYTES].decode(content.charset, "replace")
    strange = sum(not (c.isprintable() or c in "\t\r\n\x1b") or c == "\ufffd" for c in probe)
    named = content.media_type.startswith("text/") or any(word in content.media_type for word in _TEXTUAL)
    return strange * (4 if named else 20) <= len(probe)


def _charset(data: bytes, declared: str) -> str:
    """The name of a codec that is safe to use on strangers' bytes."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    try:
        name = codecs.lookup(declared).name if declared.isascii() else ""
    except (LookupError, ValueError):
        name = ""
    return name if name in _CHARSETS else "utf-8"
