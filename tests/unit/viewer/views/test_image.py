# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.viewer.views.image import media_type, render
from otel_qtap.viewer.views.view import Content
from tests.support.markup import assert_inert


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\0\0\0WAVE", ""),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", ""),
        (b"<!doctype html>", ""),
        (b"%PDF-1.7", ""),
        (b"BM", ""),
        (b"", ""),
    ],
)
def test_pictures_are_known_by_their_first_bytes(data: bytes, expected: str) -> None:
    assert media_type(data) == expected


def test_the_page_holds_an_address_and_no_byte_of_the_picture() -> None:
    data = b"GIF89a<script>alert(1)</script>"
    view = render(
        Content(data=data, media_type="text/html", charset="utf-8"), 0, lambda view, start: "/payload/image?x"
    )
    page = assert_inert(view.html)
    assert page.all("img")[0]["src"] == "/payload/image?x"
    assert "alert" not in view.html
