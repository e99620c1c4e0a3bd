# SPDX-License-Identifier: Apache-2.0
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.viewer.views import json_text
from otel_qtap.viewer.views.view import LONGEST_LINE, PAGE_ROWS, Content, View
from tests.support.markup import Page


def link(view: str, offset: int) -> str:
    return f"/{view}/{offset}"


def content(text: str, media_type: str = "application/json") -> Content:
    return Content(data=text.encode("utf-8", "surrogateescape"), media_type=media_type, charset="utf-8")


def rendered(text: str, offset: int = 0) -> View:
    return json_text.render(content(text), offset, link)


def lines(text: str) -> list[str]:
    markup = rendered(text).html.replace("</li>", "\n</li>")
    return Page(markup).text.splitlines()


def test_tokens_stand_on_lines_of_their_own() -> None:
    assert lines('{"a":[1,{"b":null}],"e":{},"f":[ ]}') == [
        "{",
        '  "a": [',
        "    1,",
        "    {",
        '      "b": null',
        "    }",
        "  ],",
        '  "e": {},',
        '  "f": []',
        "}",
    ]


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text('ab"\\/é<&'),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"<', max_size=3), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_what_is_shown_is_what_was_sent(value: object) -> None:
    text = json.dumps(value)
    assert json.loads("\n".join(lines(text))) == value
    # The same layout as that of a parser, where that changes nothing.
    assert lines(text) == json.dumps(value, indent=2).splitlines()


@pytest.mark.parametrize(
    "text",
    ["123456789012345678901234567890", "1.50", "-0", "1E+400", r'"\u003c\ud800"', '"<b>"', "true"],
)
def test_tokens_stay_as_they_were_sent(text: str) -> None:
    assert lines(text) == [text]


def test_duplicate_keys_stay() -> None:
    assert lines('{"a":1,"a":2}') == ["{", '  "a": 1,', '  "a": 2', "}"]


def test_values_that_follow_each_other() -> None:
    assert lines('{"a":1}\n{}\n[]\n7 8') == ["{", '  "a": 1', "}", "{}", "[]", "7", "8"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a":[1,2', ["{", '  "a": [', "    1,", "    2"]),
        ('{"a":"cut of', ["{", '  "a": "cut of']),
        ('{"a":1}<html>\nno more', ["{", '  "a": 1', "}", "<html>", "no more"]),
        ("[1,NaN]", ["[", "  1,", "  NaN]"]),
        ("]]}", ["]", "]", "}"]),
        ("", []),
    ],
)
def test_what_is_cut_or_no_json_is_shown_as_far_as_it_goes(text: str, shown: list[str]) -> None:
    assert lines(text) == shown


def test_a_long_string_is_cut_with_a_link_to_its_rest() -> None:
    view = rendered('{"k":"' + "x" * 1_000_000 + '"}')
    assert len(view.html) < 2 * LONGEST_LINE
    (rest,) = Page(view.html).all("a")
    assert rest["href"] == f"/text/{5 + LONGEST_LINE}"


def test_pages_are_lines() -> None:
    whole = json.dumps(list(range(5 * PAGE_ROWS)))
    first = rendered(whole)
    assert (first.next, first.previous, first.shown) == (PAGE_ROWS, None, f"lines 1 to {PAGE_ROWS:,}")
    second = rendered(whole, PAGE_ROWS)
    assert Page(second.html).all("ol")[0]["start"] == str(PAGE_ROWS + 1)
    assert (second.next, second.previous) == (2 * PAGE_ROWS, 0)


def test_pages_end_where_they_would_take_long_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MOST_LINES", PAGE_ROWS)
    whole = json.dumps(list(range(5 * PAGE_ROWS)))
    assert rendered(whole).next == PAGE_ROWS
    assert rendered(whole, 3 * PAGE_ROWS) == rendered(whole, PAGE_ROWS)
    assert rendered(whole, 3 * PAGE_ROWS).next is None


@pytest.mark.parametrize(
    "text", ["[" * 2_000_000, '"' + "\\" * 2_000_001, '"a' * 700_000, "-" * 2_000_000, ":" * 2_000_000]
)
def test_hostile_text_takes_no_longer_than_other_text(text: str) -> None:
    before = time.process_time()
    assert len(rendered(text).html) < 1_000_000
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    ("media_type", "text", "fits"),
    [
        ("application/json", '"x"', True),
        ("application/json", "<html>", False),
        ("application/vnd.api+json", "[]", True),
        ("", "{}", True),
        ("", "7", False),
        ("text/plain", "{}", False),
        ("application/json", "", False),
    ],
)
def test_what_it_is_for(media_type: str, text: str, fits: bool) -> None:
    assert json_text.fits(content(text, media_type)) is fits
