# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.viewer.bodies import VIEWS
from otel_qtap.viewer.views.view import PAGE_CHARACTERS, Content
from tests.support.markup import assert_inert

HOSTILE = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                *(
                    b"<script>",
                    b"</code>",
                    b"<!--",
                    b'"',
                    b"'",
                    b"&",
                    b"\x1b[2J",
                    b"\xe2\x80\xae",
                    b"\xff\xfe",
                ),
                *(b"--X\r\n", b"\r\n\r\n", b"%3Cb%3E", b"a=b&", b"\n", b"\xef\xbb\xbf"),
                *(b"{", b"}", b"[", b"]", b",", b":", b"\\", b"1e9", b"null"),
            ]
        ),
    ),
    max_size=30,
).map(b"".join)
CHARSETS = st.sampled_from(["utf-8", "utf-16", "iso8859-1", "shift_jis", "ascii"])


def link(view: str, offset: int) -> str:
    return f"/payload?view={view}&offset={offset}"


@pytest.mark.parametrize("name", VIEWS)
@given(data=HOSTILE, charset=CHARSETS, offset=st.integers(0, 500))
def test_no_view_emits_an_unescaped_byte(name: str, data: bytes, charset: str, offset: int) -> None:
    content = Content(data=data, media_type="x/y", charset=charset, boundary="X")
    view = VIEWS[name](content, offset, link)
    page = assert_inert(view.html)
    assert not page.tags & {"script", "style", "iframe", "form", "input"}


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "image"])
@pytest.mark.parametrize("filler", [b"x", b"\n", b"[", b'{"a":', b"\0", b"a=1&", b"--X\r\n\r\n", b"<", b"1,"])
def test_pages_are_bounded_and_lead_through_the_whole(name: str, filler: bytes) -> None:
    data = (filler * (300_000 // len(filler)))[:300_000]
    content = Content(data=data, media_type="x/y", charset="utf-8", boundary="X")
    offset, pages = 0, 0
    while True:
        view = VIEWS[name](content, offset, link)
        assert len(view.html) < 20 * PAGE_CHARACTERS
        pages += 1
        if view.next is None:
            break
        assert view.next > offset
        assert view.shown
        offset = view.next
        if pages == 3:
            break
    last = VIEWS[name](content, 10**11, link)
    assert last.next is None
    assert len(last.html) < 20 * PAGE_CHARACTERS


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("utf-8", b"\xc3\xa9\xff", "é\udcff"),
        ("ascii", b"a\xff", "a\udcff"),
        ("iso8859-1", b"\xe9", "é"),
        ("utf-16", b"\xff\xfea\0b", "a�"),
    ],
)
def test_bytes_that_are_no_text_are_kept_where_the_charset_allows(
    charset: str, data: bytes, text: str
) -> None:
    assert Content(data=data, media_type="", charset=charset).text() == text
