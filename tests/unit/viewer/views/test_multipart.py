# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.viewer.views.multipart import PAGE_PARTS, render
from otel_qtap.viewer.views.view import Content, View
from tests.support.markup import Page, assert_inert


def rendered(data: bytes, offset: int = 0) -> View:
    content = Content(data=data, media_type="multipart/form-data", charset="utf-8", boundary="XX")
    return render(content, offset, lambda view, start: f"/{view}/{start}")


BODY = (
    b'preamble\r\n--XX\r\nContent-Disposition: form-data; name="f"; filename="<b>"\r\n\r\nhello\r\nthere\r\n'
    b"--XX\r\nContent-Type: image/png\r\n\r\n"
    + bytes(range(256)) * 20
    + b"\r\n--XX\r\n\r\n\r\n--XX--\r\nepilogue"
)


def test_parts_with_their_fields_and_beginnings() -> None:
    view = rendered(BODY)
    page = assert_inert(view.html)
    assert "Part 1, 12 bytes" in page.text
    assert "Part 2, 5,120 bytes" in page.text
    assert "Part 3, 0 bytes" in page.text
    assert "hello\nthere" in page.text
    assert 'filename="<b>"' in page.text
    assert "00 01 02 03" in page.text
    assert "epilogue" not in page.text
    (whole,) = page.all("a")
    assert whole["href"] == f"/hex/{BODY.index(bytes(range(256)))}"


@pytest.mark.parametrize("data", [b"", b"no boundary", b"--XX", b"--XX--", b"\n--XX--\r\n"])
def test_without_parts_that_is_said(data: bytes) -> None:
    assert "No parts were found." in rendered(data).html


def test_parts_without_fields_and_without_anything() -> None:
    page = Page(rendered(b"--XX\n--XX\n\n--XX\n\na\n--XX--").html)
    assert [title for title in page.text.split("Part ") if title] == [
        "1, 0 bytes",
        "2, 0 bytes",
        "3, 1 bytesa",
    ]


def test_a_part_that_was_cut_is_shown_as_far_as_it_goes() -> None:
    assert "Part 1, 3 bytes" in rendered(b"--XX\r\nA: b\r\n\r\nhal").html
    assert "Part 1, 4 bytes" in rendered(b"--XX\r\nA: b").html


def test_pages_are_parts() -> None:
    data = b"".join(b"--XX\r\n\r\n%d\r\n" % number for number in range(120)) + b"--XX--"
    view = rendered(data)
    assert view.next == PAGE_PARTS
    view = rendered(data, 2 * PAGE_PARTS)
    assert (view.previous, view.next) == (PAGE_PARTS, None)
    assert Page(view.html).text.startswith("Part 101, 3 bytes")
