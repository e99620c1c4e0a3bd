# SPDX-License-Identifier: Apache-2.0
from http import HTTPStatus

from otel_qtap.viewer import pages
from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.visitors import Visitor
from tests.support.markup import assert_inert

PROBLEM = ProblemError(HTTPStatus.NOT_FOUND, "What <b>", "Why <script>", "Fix \x1b[31m")


def test_the_frame_names_nothing_outside() -> None:
    page = assert_inert(pages.frame("<title>", "<p>", visitor=Visitor("<ada>", has_session=True)))
    assert page.all("html")[0]["lang"] == "en"
    assert [link["href"] for link in page.all("link")] == ["/style.css"]
    assert "<ada>" in page.text
    assert "Log out" in page.text


def test_only_who_has_a_session_can_end_it() -> None:
    assert "Log out" not in pages.frame("x", "y")
    proxied = pages.frame("x", "y", visitor=Visitor("ada"))
    assert "Log out" not in proxied
    assert "ada" in proxied


def test_home_asks_for_a_reference() -> None:
    page = assert_inert(pages.home(Visitor("ada")))
    form = next(form for form in page.all("form") if form.get("action") == "/payload")
    assert form.get("method") is None  # GET: the address can be kept
    assert [field["name"] for field in page.all("input")] == ["uri"]


def test_the_login_keeps_what_was_asked_for_and_nothing_else() -> None:
    page = assert_inert(
        pages.login({"uri": 's3://b/"><script>', "part": "request", "next": "//evil", "token": "x"}, None)
    )
    fields = {field["name"]: field.get("value") for field in page.all("input")}
    assert fields == {"uri": 's3://b/"><script>', "part": "request", "token": None}
    assert page.all("form")[0]["method"] == "post"
    assert page.all("input")[-1]["type"] == "password"


def test_the_login_says_what_went_wrong() -> None:
    assert "Why <script>" in assert_inert(pages.login({}, PROBLEM)).text


def test_a_problem_says_what_why_and_how_to_fix_it() -> None:
    text = assert_inert(pages.problem(PROBLEM)).text
    for part in ("What <b>", "Why <script>", "Fix [ESC][31m"):
        assert part in text
    assert pages.problem_text(PROBLEM) == "What <b>\nWhy <script>\nFix \x1b[31m\n"
