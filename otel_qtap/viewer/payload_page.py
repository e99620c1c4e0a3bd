# SPDX-License-Identifier: Apache-2.0
"""The page of an exchange: what it was, and both halves with their fields and bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from otel_qtap.model.exchange import Part
from otel_qtap.objectstore.reader import StoredRecord
from otel_qtap.viewer import requests
from otel_qtap.viewer.bodies import VIEWS, Body, body_of
from otel_qtap.viewer.exchanges import StoredExchange
from otel_qtap.viewer.markup import Html, element, join, line
from otel_qtap.viewer.messages import Head, head_of, trailer_of
from otel_qtap.viewer.pages import frame
from otel_qtap.viewer.views.view import LONGEST_LINE, Link, View
from otel_qtap.viewer.visitors import Visitor

_MOST_FIELDS = 500
_TRUNCATED = {
    "length": "Cut at the agent's size limit",
    "gap": "Bytes were lost in capture",
    "disconnect": "The connection ended first",
}
_LABELS = {"json": "JSON", "hex": "Hex", "text": "Text", "form": "Form", "parts": "Parts", "image": "Image"}


@dataclass(frozen=True, slots=True)
class _Links:
    """Addresses of one half's body."""

    uri: str
    part: Part

    def view(self, name: str, offset: int) -> str:
        """The page with the body in a view; of the view without a name, the picture itself."""
        query = {"uri": self.uri, "part": self.part}
        if not name:
            return f"{requests.IMAGE}?{urlencode(query)}"
        query |= {"view": name} | ({"offset": str(offset)} if offset else {})
        return f"{requests.PAYLOAD}?{urlencode(query)}#{self.part}"

    @property
    def download(self) -> str:
        """The body as a file."""
        return f"{requests.BODY}?{urlencode({'uri': self.uri, 'part': self.part})}"


def payload_page(
    uri: str, exchange: StoredExchange, *, part: Part | None, view: str, offset: int, visitor: Visitor
) -> Html:
    """The page; ``view`` and ``offset`` concern ``part``, the other half is shown in its best view."""
    heads = {half: head_of(record) for half, record in exchange.halves.items()}
    named = exchange.halves[exchange.named]
    sections = []
    for half in Part:
        if record := exchange.halves.get(half):
            chosen = (view, offset) if half is (part or exchange.named) else ("", 0)
            sections.append(_half(_Links(uri, half), record, heads[half], *chosen))
        else:
            sections.append(
                element(
                    "section", element("h2", half.value.capitalize()), _note(exchange.absent[half]), id=half
                )
            )
    return frame(
        f"Payload {named.fields.get('qtap-span-id', '')}",
        element("h1", *_title(heads, named)),
        _facts(uri, named),
        element(
            "nav", *(element("a", half.value.capitalize(), href=f"#{half}") for half in Part), class_="tabs"
        ),
        *sections,
        visitor=visitor,
    )


def _title(heads: Mapping[Part, Head | None], named: StoredRecord) -> list[Html]:
    """Method, target and status, as far as they are known."""
    request, response = heads.get(Part.REQUEST), heads.get(Part.RESPONSE)
    method = request.start_line.partition(" ")[0] if request else ""
    status = response.start_line.partition(" ")[2] if response else ""
    target = named.fields.get("warc-target-uri", "")
    kind = status[:1] if status[:1] in set("12345") else "0"
    pieces = [
        element("span", _short(method), class_="method") if method else None,
        element("span", _short(target), class_="target"),
        element("span", _short(status), class_=f"status status-{kind}") if status else None,
    ]
    return [join(piece, Html(" ")) for piece in pieces if piece]


def _facts(uri: str, record: StoredRecord) -> Html:
    fields = record.fields
    facts = {
        "When": fields.get("warc-date", ""),
        "Trace id": fields.get("qtap-trace-id", ""),
        "Span id": fields.get("qtap-span-id", ""),
        "Server": fields.get("warc-ip-address", ""),
        "Reference": uri,
    }
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", element("code", line(value))))
            for name, value in facts.items()
            if value
        ),
        class_="facts",
    )


def _half(links: _Links, record: StoredRecord, head: Head | None, view: str, offset: int) -> Html:
    trailer = trailer_of(record)
    part = links.part
    return element(
        "section",
        element("h2", part.value.capitalize()),
        _state(record, head),
        element("p", element("code", _short(head.start_line)), class_="start-line") if head else None,
        _field_table(head.fields, f"Header fields of the {part}") if head else None,
        _body(links, record, view, offset),
        element("h3", "Trailer fields") if trailer else None,
        element("pre", trailer[:LONGEST_LINE], class_="preview", tabindex="0") if trailer else None,
        _details(record),
        id=part,
    )


def _state(record: StoredRecord, head: Head | None) -> Html:
    """How complete the message is, and whether something was taken out of it."""
    pieces = []
    if reason := record.fields.get("qtap-truncated") or record.fields.get("warc-truncated", ""):
        declared = head.first("content-length") if head else ""
        whole = (
            f" of {int(declared):,}"
            if declared.isascii() and declared.isdecimal() and len(declared) < 19
            else ""
        )
        pieces.append(
            element(
                "strong",
                f"Incomplete: {_TRUNCATED.get(reason, 'cut for an unknown reason')}; "
                f"{len(record.body):,}{whole} bytes are here",
                class_="badge warning",
            )
        )
    else:
        pieces.append(element("span", "Complete", class_="badge"))
    if record.fields.get("qtap-redacted", "") == "true":
        pieces.append(element("strong", "Redacted: sensitive data was taken out", class_="badge warning"))
    return element("p", *(join(piece, Html(" ")) for piece in pieces), class_="state")


def _field_table(fields: tuple[tuple[str, str], ...], caption: str) -> Html:
    rows = [
        element(
            "tr",
            element("th", _short(name), scope="row"),
            element("td", element("code", _short(value))),
        )
        for name, value in fields[:_MOST_FIELDS]
    ]
    left = len(fields) - len(rows)
    return join(
        element("table", element("tbody", *rows), class_="fields", aria_label=caption),
        _note(f"{left:,} more fields are in the stored record.") if left else None,
    )


def _body(links: _Links, record: StoredRecord, view: str, offset: int) -> Html:
    body = body_of(record)
    if not body.views:
        return join(element("h3", "Body"), _note("Empty."))
    chosen = view if view in VIEWS and (view != "image" or view in body.views) else body.views[0]
    page = VIEWS[chosen](body.content, offset, links.view)
    tabs = [
        element("a", _LABELS[name], href=links.view(name, 0), aria_current="true" if name == chosen else None)
        for name in body.views
    ]
    return join(
        element("h3", "Body ", element("small", _described(record, body))),
        element(
            "nav", *tabs, element("a", "Download", href=links.download, class_="download"), class_="views"
        ),
        _note(body.note) if body.note else None,
        page.html,
        _pager(page, chosen, links.view) if page.shown or page.next or page.previous is not None else None,
    )


def _described(record: StoredRecord, body: Body) -> str:
    declared = body.content.media_type or "type not declared"
    sizes = f"{len(record.body):,} bytes"
    if record.encoding:
        sizes += f" of {record.encoding}, {len(body.content.data):,} decoded"
    return f"{declared[:100]}, {sizes[:100]}"


def _pager(page: View, view: str, link: Link) -> Html:
    previous, following = page.previous, page.next
    return element(
        "nav",
        element("a", "Previous", href=link(view, previous), rel="prev") if previous is not None else None,
        element("span", page.shown),
        element("a", "Next", href=link(view, following), rel="next") if following is not None else None,
        class_="pager",
        aria_label="Pages of this body",
    )


def _details(record: StoredRecord) -> Html:
    rows = [
        element("tr", element("th", _short(name), scope="row"), element("td", element("code", _short(value))))
        for name, value in list(record.fields.items())[:_MOST_FIELDS]
        if name
    ]
    return element(
        "details",
        element("summary", "Stored record"),
        element("table", element("tbody", *rows), class_="fields"),
    )


def _short(value: str) -> Html:
    if len(value) <= LONGEST_LINE:
        return line(value)
    return line(
        f"{value[:LONGEST_LINE]}… ({len(value) - LONGEST_LINE:,} more characters are in the stored record)"
    )


def _note(words: str) -> Html:
    return element("p", words, class_="note")
