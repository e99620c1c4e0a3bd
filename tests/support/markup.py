# SPDX-License-Identifier: Apache-2.0
"""HTML as a browser's parser sees it: elements, addresses, text."""

from html.parser import HTMLParser
from unicodedata import category

_VOID = {"br", "hr", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """A parsed page. Fails on what is not well-formed: a forgotten escape rarely is."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"a processing instruction: {data!r}")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def tags(self) -> set[str]:
        return {name for name, _ in self.elements}


KNOWN_TAGS = {
    *("html", "head", "meta", "title", "link", "body", "header", "main", "nav", "section", "figure", "img"),
    *(
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
        "a",
        "span",
        "code",
        "pre",
        "div",
        "small",
        "strong",
        "details",
        "summary",
    ),
    *("dl", "dt", "dd", "ol", "ul", "li", "table", "tbody", "tr", "th", "td"),
    *("form", "label", "input", "button"),
}
KNOWN_ATTRIBUTES = {
    *("id", "class", "lang", "tabindex", "role", "scope", "aria-current", "aria-label", "start", "alt"),
    *("href", "src", "action", "method", "rel", "charset", "name", "content"),
    *("type", "value", "for", "required", "autofocus", "autocomplete", "spellcheck", "placeholder"),
}


def assert_inert(markup: str) -> Page:
    """Fails unless the page holds known elements and attributes, own addresses and printable text only."""
    page = Page(markup)
    assert page.tags <= KNOWN_TAGS
    for _, attributes in page.elements:
        assert attributes.keys() <= KNOWN_ATTRIBUTES
        for name in ("href", "src", "action"):
            address = attributes.get(name) or "/"
            assert address[0] in "/#"
            assert not address.startswith("//")
    assert not [c for c in markup if not c.isprintable() and c not in "\n\t" and category(c) != "Zs"]
    markup.encode()  # no half of a surrogate pair
    return page
