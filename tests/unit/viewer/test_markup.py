# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.viewer.markup import Html, element, join, line, text
from tests.support.markup import assert_inert

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)  # surrogates, too


@pytest.mark.parametrize(
    ("content", "markup"),
    [
        ("plain", "plain"),
        ("<script>&'\"", "&lt;script&gt;&amp;&#x27;&quot;"),
        ("\x1b[31m", '<span class="symbol">[ESC]</span>[31m'),
        ("a\0\x7fb", 'a<span class="symbol">[NUL][DEL]</span>b'),
        ("\r\n\t", '<span class="symbol">[CR]</span>\n\t'),
        ("\u202egnp", '<span class="symbol">[U+202E]</span>gnp'),
        ("é\u200bü", 'é<span class="symbol">[U+200B]</span>ü'),
        ("\x9b", '<span class="symbol">[U+009B]</span>'),
        ("\udcff", '<span class="symbol">[FF]</span>'),
        ("\ud800", '<span class="symbol">[U+D800]</span>'),
        ("a\xa0\u3000b", "a\xa0\u3000b"),
        ("日本語 👍", "日本語 👍"),
    ],
)
def test_text_is_escaped_and_what_cannot_be_printed_is_shown(content: str, markup: str) -> None:
    assert text(content) == markup


def test_on_a_line_breaks_and_tabs_are_symbols_too() -> None:
    assert line("a\n\tb<") == 'a<span class="symbol">[LF][TAB]</span>b&lt;'
    assert line("a\x1bb") == text("a\x1bb")


@given(ANY_TEXT)
def test_any_text_is_inert(content: str) -> None:
    page = assert_inert(element("p", content))
    assert page.tags <= {"p", "span"}
    assert set(assert_inert(line(content)).tags) <= {"span"}
    assert "\n" not in line(content)


@given(ANY_TEXT)
def test_printable_text_comes_out_as_it_went_in(content: str) -> None:
    printable = "".join(c for c in content if c.isprintable())
    assert assert_inert(element("p", printable)).text == printable


@given(ANY_TEXT)
def test_any_attribute_stays_in_its_quotes(content: str) -> None:
    page = assert_inert(element("a", "x", value=content))
    assert [name for name, _ in page.elements] == ["a"]
    assert page.elements[0][1].keys() == {"value"}


def test_elements() -> None:
    assert element("p") == "<p></p>"
    assert element("br") == "<br>"
    assert element(
        "a", "<", element("b", "x"), None, href="/?a=1&b=2", class_="k", aria_label=None, hidden=True
    ) == ('<a href="/?a=1&amp;b=2" class="k" hidden>&lt;<b>x</b></a>')
    assert element("input", required=False) == "<input>"


def test_only_markup_is_not_escaped_again() -> None:
    assert join(Html("<b>"), "<b>", None, "") == "<b>&lt;b&gt;"
    assert isinstance(join("a"), Html)
