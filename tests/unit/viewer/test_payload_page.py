# SPDX-License-Identifier: Apache-2.0
import gzip
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_qtap.model.exchange import Part
from otel_qtap.objectstore.reader import StoredRecord
from otel_qtap.viewer.exchanges import ExchangeReader, StoredExchange
from otel_qtap.viewer.payload_page import payload_page
from otel_qtap.viewer.resolving import Resolver
from otel_qtap.viewer.visitors import Visitor
from tests.support.cleared import chunked_response, exchange, request
from tests.support.markup import Page, assert_inert
from tests.support.payload_store import answering, posting


@pytest.fixture
def page(store, stored):
    """Stores an exchange and renders its page."""

    def render(item, *, part=None, view="", offset=0) -> Page:
        (record,) = stored(item)
        uri = (record.request_ref or record.response_ref).uri
        found = ExchangeReader(store).exchange(Resolver(store).resolve(uri))
        return assert_inert(
            payload_page(uri, found, part=part, view=view, offset=offset, visitor=Visitor("ada"))
        )

    return render


def test_both_halves_with_their_fields_and_bodies(page) -> None:
    item = exchange(
        posting("application/json", b'{"item":"teapot"}', "X-One: 1", "x-one: 2"),
        answering("text/plain", gzip.compress(b"out of teapots"), encoding="gzip"),
    )
    shown = page(item)
    for text in (
        "POST",
        "https://api.example.com/v1/orders?id=7",
        "200 OK",
        item.identity.trace_id.hex(),
        item.identity.span_id.hex(),
        '"item": "teapot"',
        "out of teapots",
        "X-One",
        "x-one",
        "Complete",
        "14 decoded",
    ):
        assert text in shown.text
    assert {section.get("id") for section in shown.all("section")} >= {"request", "response"}
    assert {"#request", "#response"} <= {link["href"] for link in shown.all("a")}


def test_links_stay_with_the_reference_and_the_half(page) -> None:
    shown = page(exchange(posting("application/json", b"[1]"), answering("text/plain", b"x")))
    views = [link["href"] for link in shown.all("a") if "view=" in (link["href"] or "")]
    assert len(views) == 5
    for link in views:
        query = parse_qs(urlsplit(link).query)
        assert query["uri"][0].startswith("memory:/")
        assert query["part"] == [urlsplit(link).fragment]
    downloads = [link["href"] for link in shown.all("a") if "/payload/body" in (link["href"] or "")]
    assert len(downloads) == 2


def test_a_view_concerns_one_half_only(page) -> None:
    shown = page(
        exchange(posting("text/plain", b"question"), answering("text/plain", b"answer")),
        part=Part.RESPONSE,
        view="hex",
    )
    assert "61 6e 73 77 65 72" in shown.text
    assert "question" in shown.text
    current = [link["href"] for link in shown.all("a") if link.get("aria-current")]
    assert [parse_qs(urlsplit(link).query)["view"] for link in current] == [["text"], ["hex"]]


@pytest.mark.parametrize("view", ["image", "nonsense", "json"])
def test_a_view_that_does_not_fit_does_no_harm(page, view: str) -> None:
    assert "hello" in page(exchange(posting("text/plain", b"hello")), view=view).text


def test_what_is_missing_is_said(page) -> None:
    assert "The response of this exchange was not stored." in page(exchange(request())).text


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"truncated": "length"}, "Cut at the agent's size limit; 5 of 5 bytes are here"),
        ({"truncated": "gap"}, "Bytes were lost in capture"),
        ({"truncated": "disconnect"}, "The connection ended first"),
        ({"redacted": True}, "Redacted: sensitive data was taken out"),
    ],
)
def test_truncation_and_redaction_are_stated(page, known: dict[str, object], said: str) -> None:
    assert said in page(exchange(None, answering("text/plain", b"hello", **known))).text


def test_trailer_fields_are_shown(page) -> None:
    assert "X-Sum: 1" in page(exchange(None, chunked_response(b"hello", b"X-Sum: 1\r\n"))).text


def test_a_picture_is_fetched_from_its_own_path(page) -> None:
    shown = page(exchange(None, answering("image/png", b"\x89PNG\r\n\x1a\nrest")))
    assert urlsplit(shown.all("img")[0]["src"]).path == "/payload/image"


def test_an_empty_body_is_said(page) -> None:
    assert "Empty." in page(exchange(request())).text


def test_pages_of_a_large_body_are_linked(page) -> None:
    shown = page(exchange(None, answering("application/x-y", bytes(100_000))), offset=16_384)
    assert {link.get("rel") for link in shown.all("a")} >= {"prev", "next"}


FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "warc-target-uri",
            "warc-date",
            "qtap-trace-id",
            "qtap-span-id",
            "qtap-truncated",
            "warc-ip-address",
            "x<y>",
        ]
    ),
    st.text(max_size=30),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    head=st.binary(max_size=80),
    body=st.binary(max_size=80),
    fields=FIELDS,
    uri=st.text(max_size=30),
    coding=st.text(max_size=8),
)
def test_no_record_makes_a_page_that_is_not_inert(head, body, fields, uri, coding) -> None:
    record = StoredRecord(
        fields={
            **fields,
            "warc-type": "response",
            "content-type": "application/http; msgtype=response",
            "qtap-body-offset": str(len(head)),
            "qtap-body-length": str(len(body)),
            "qtap-body-encoding": coding,
        },
        block=head + body,
    )
    found = StoredExchange(
        named=Part.RESPONSE, halves={Part.RESPONSE: record}, absent={Part.REQUEST: "<gone>"}
    )
    clean = uri.encode("utf-8", "replace").decode()
    assert_inert(payload_page(clean, found, part=None, view="", offset=0, visitor=Visitor("<ada>")))
