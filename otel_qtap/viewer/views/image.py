# SPDX-License-Identifier: Apache-2.0
"""A picture of one of the four types that browsers decode and that cannot hold a script.

SVG is not among them: it is a document, so it is shown as text.
"""

from otel_qtap.viewer.markup import element
from otel_qtap.viewer.views.view import Content, Link, View


def media_type(data: bytes) -> str:
    """The type by its magic bytes; empty for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return ""


def render(content: Content, offset: int, link: Link) -> View:
    """The picture, which the browser fetches from the path for pictures."""
    kind = media_type(content.data).removeprefix("image/").upper()
    picture = element("img", class_="picture", src=link("", 0), alt=f"The body as a picture ({kind})")
    return View(html=element("figure", picture), shown="")
