# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.viewer.views.hexdump import PAGE_BYTES, render
from otel_qtap.viewer.views.view import Content, View
from tests.support.markup import Page


def rendered(data: bytes, offset: int = 0) -> View:
    return render(Content(data=data, media_type="", charset="utf-8"), offset, lambda view, start: "/")


def test_sixteen_bytes_to_a_line() -> None:
    assert Page(rendered(b"GET <b>\0\r\n\x7f\xffabcdef").html).text.splitlines() == [
        "00000000  47 45 54 20 3c 62 3e 00  0d 0a 7f ff 61 62 63 64  GET <b>.....abcd",
        "00000010  65 66                                             ef",
    ]


@pytest.mark.parametrize(
    ("offset", "first", "previous", "following"),
    [
        (0, "00000000", None, PAGE_BYTES),
        (PAGE_BYTES + 5, "00004000", 0, 2 * PAGE_BYTES),
        (10**9, "0000a000", 24_576, None),
    ],
)
def test_pages(offset: int, first: str, previous: int | None, following: int | None) -> None:
    view = rendered(bytes(40_961), offset)
    assert Page(view.html).text.startswith(first)
    assert (view.previous, view.next) == (previous, following)


def test_what_part_it_is() -> None:
    assert rendered(b"x").shown == ""
    assert rendered(bytes(40_000), 16_384).shown == "bytes 16,384 to 32,767 of 40,000"
