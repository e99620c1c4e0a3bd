# SPDX-License-Identifier: Apache-2.0
"""The frame around every page, and the pages without a payload: home, login, problems."""

from collections.abc import Mapping

from otel_qtap.viewer import requests
from otel_qtap.viewer.markup import Html, element, join
from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.visitors import Visitor


def frame(title: str, *content: str | None, visitor: Visitor | None = None) -> Html:
    """A whole page. ``visitor`` is who may see payloads."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        element("title", f"{title} - otel-qtap"),
        element("link", rel="stylesheet", href=requests.STYLE),
    )
    banner = element(
        "header",
        element("a", "otel-qtap", element("span", " payload viewer"), href=requests.HOME, class_="brand"),
        _farewell(visitor) if visitor else None,
        class_="banner",
    )
    body = element(
        "body",
        element("a", "Skip to the content", href="#content", class_="skip"),
        banner,
        element("main", *content, id="content"),
    )
    return join(Html("<!doctype html>\n"), element("html", head, body, lang="en"), "\n")


def home(visitor: Visitor) -> Html:
    """Where a reference can be pasted."""
    return frame(
        "Open a payload",
        element("h1", "Open a payload"),
        element(
            "p",
            "Paste the value of qtap.payload.uri or http.*.body.content_ref from a span. Links in your trace "
            "view lead to the same page.",
        ),
        element(
            "form",
            element("label", "Payload reference", for_="uri"),
            element(
                "input",
                id="uri",
                name="uri",
                required=True,
                autocomplete="off",
                spellcheck="false",
                placeholder="s3://bucket/…warc.gz#bytes=0-812",
            ),
            element("button", "Open"),
            action=requests.PAYLOAD,
            class_="ask",
        ),
        visitor=visitor,
    )


def login(parameters: Mapping[str, str], problem: ProblemError | None) -> Html:
    """Asks for the token; ``parameters`` of what the visitor wanted to see outlive the login."""
    hidden = [
        element("input", type="hidden", name=name, value=value)
        for name, value in requests.looked_at(parameters).items()
    ]
    return frame(
        "Log in",
        element("h1", "Log in to see payloads"),
        join(element("h2", problem.what), _explanation(problem)) if problem else None,
        element(
            "form",
            *hidden,
            element("label", "Token", for_="token"),
            element(
                "input",
                id="token",
                name=requests.TOKEN,
                type="password",
                required=True,
                autocomplete="current-password",
            ),
            element("button", "Log in"),
            method="post",
            action=requests.LOGIN,
            class_="ask",
        ),
        element(
            "p",
            "It is the one in OTEL_QTAP_SERVE_TOKEN or OTEL_QTAP_SERVE_TOKEN_FILE, or else the one that "
            "otel-qtap serve printed when it started.",
            class_="note",
        ),
    )


def problem(error: ProblemError, visitor: Visitor | None = None) -> Html:
    """What went wrong, why, and how to fix it."""
    return frame(error.what, element("h1", error.what), _explanation(error), visitor=visitor)


def problem_text(error: ProblemError) -> str:
    """The same for scripts."""
    return f"{error.what}\n{error.why}\n{error.fix}\n"


def _explanation(error: ProblemError) -> Html:
    return element(
        "dl",
        element("dt", "Why"),
        element("dd", error.why),
        element("dt", "What to do"),
        element("dd", error.fix),
        class_="problem",
        role="alert",
    )


def _farewell(visitor: Visitor) -> Html:
    name = element("span", visitor.name, class_="visitor")
    if not visitor.has_session:
        return name
    return element(
        "form",
        name,
        element("button", "Log out", class_="quiet"),
        method="post",
        action=requests.LOGOUT,
    )
