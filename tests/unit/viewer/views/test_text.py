# SPDX-License-Identifier: Apache-2.0
import re

from otel_qtap.viewer.views.text import render
from otel_qtap.viewer.views.view import LONGEST_LINE, PAGE_CHARACTERS, PAGE_ROWS, Content, View
from tests.support.markup import Page


def link(view: str, offset: int) -> str:
    return f"/{view}/{offset}"


def rendered(text: str, offset: int = 0) -> tuple[View, list[str]]:
    view = render(Content(data=text.encode(), media_type="text/plain", charset="utf-8"), offset, link)
    return view, re.findall(r"<li><code>(.*?)</code>", view.html, re.DOTALL)


def test_lines_are_numbered_from_where_the_page_begins() -> None:
    view, lines = rendered("one\ntwo\n\nfour")
    assert lines == ["one", "two", "", "four"]
    assert (view.shown, view.previous, view.next) == ("", None, None)
    view, lines = rendered("one\ntwo\n\nfour", 4)
    assert lines == ["two", "", "four"]
    assert Page(view.html).all("ol")[0]["start"] == "2"
    assert view.previous == 0


def test_both_line_ends_are_line_ends() -> None:
    assert rendered("a\r\nb\n\rc\r")[1] == ["a", "b", '<span class="symbol">[CR]</span>c']


def test_a_long_line_is_cut_with_a_link_to_its_rest() -> None:
    view, lines = rendered(f"first\n{'x' * 5_000_000}\nlast")
    assert [len(line) for line in lines] == [5, LONGEST_LINE, 4]
    (rest,) = Page(view.html).all("a")
    assert rest["href"] == f"/text/{6 + LONGEST_LINE}"
    assert "4,998,000 more characters" in view.html
    assert (view.next, view.shown) == (None, "")

    view, lines = rendered(f"first\n{'x' * 5_000_000}\nlast", 6 + LONGEST_LINE)
    assert [len(line) for line in lines] == [PAGE_CHARACTERS]
    assert view.next == 6 + LONGEST_LINE + PAGE_CHARACTERS
    assert Page(view.html).all("ol")[0]["start"] == "2"


def test_the_end_of_a_long_line_and_what_follows() -> None:
    whole = f"{'x' * 5_000_000}\nlast"
    view, lines = rendered(whole, 5_000_000 - 10)
    assert lines == ["x" * 10, "last"]
    assert view.next is None


def test_many_lines_make_pages() -> None:
    view, lines = rendered("a\n" * (PAGE_ROWS * 2))
    assert len(lines) == PAGE_ROWS
    assert view.next == PAGE_ROWS * 2
    assert view.shown == f"characters 0 to {PAGE_ROWS * 2:,} of {PAGE_ROWS * 4:,}"
