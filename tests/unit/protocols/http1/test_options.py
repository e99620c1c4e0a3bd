# SPDX-License-Identifier: Apache-2.0
from otel_qtap.model.exchange import SpanKind
from otel_qtap.protocols.http1.options import KNOWN_METHODS, HttpOptions


def test_nothing_is_shown_unless_it_is_asked_for() -> None:
    options = HttpOptions()

    assert set(options.request_headers.values()) == set(options.response_headers.values()) == {()}
    assert options.query_allow == frozenset()
    assert tuple(options.known_methods.values()) == KNOWN_METHODS


def test_header_names_are_found_in_any_case_and_once_on_spans_of_their_kind() -> None:
    options = HttpOptions(
        client_request_headers=("X-Team", " x-team ", ""), server_response_headers=("ETag", "Server")
    )

    assert options.request_headers == {
        SpanKind.CLIENT: ((b"x-team", "http.request.header.x-team"),),
        SpanKind.SERVER: (),
    }
    assert options.response_headers == {
        SpanKind.CLIENT: (),
        SpanKind.SERVER: (
            (b"etag", "http.response.header.etag"),
            (b"server", "http.response.header.server"),
        ),
    }


def test_the_users_methods_replace_the_known_ones() -> None:
    options = HttpOptions(known_methods=("GET", "purge"))

    assert options.known_methods == {b"GET": "GET", b"purge": "purge"}
