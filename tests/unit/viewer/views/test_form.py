# SPDX-License-Identifier: Apache-2.0
from otel_qtap.viewer.views.form import render
from otel_qtap.viewer.views.view import LONGEST_LINE, PAGE_ROWS, Content, View
from tests.support.markup import assert_inert


def rendered(data: bytes, offset: int = 0) -> View:
    return render(Content(data=data, media_type="", charset="utf-8"), offset, lambda view, start: "/")


def test_fields_are_decoded_in_their_order() -> None:
    view = rendered(b"name=J%C3%B6rg+X&name=2&empty=&flag&bad=%zz&raw=%ff&tag=%3Cb%3E")
    assert_inert(view.html)
    for shown in ("Jörg X", ">empty<", ">flag<", "%zz", "[FF]", "&lt;b&gt;"):
        assert shown in view.html
    assert len(assert_inert(view.html).all("tr")) == 7


def test_a_long_value_is_cut() -> None:
    for long in (b"x" * 50_000, b"%41" * 50_000):
        assert len(rendered(b"a=" + long).html) < 2 * LONGEST_LINE


def test_pages_are_fields() -> None:
    view = rendered(b"&".join(b"f%d=1" % number for number in range(2 * PAGE_ROWS + 1)), PAGE_ROWS)
    assert (view.previous, view.next) == (0, 2 * PAGE_ROWS)
    assert view.shown == "fields 1,001 to 2,000 of 2,001"
