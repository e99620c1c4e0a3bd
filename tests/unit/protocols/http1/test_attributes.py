# SPDX-License-Identifier: Apache-2.0
"""Attributes by semantic conventions 1.44.0, from the bytes on the wire."""

import pytest

from otel_qtap.model.exchange import Exchange
from otel_qtap.model.identity import ConnectionContext, Direction
from otel_qtap.protocols.http1 import HttpOptions
from otel_qtap.protocols.http1.attributes import CACHED_VALUES, AttributeBuilder
from otel_qtap.protocols.http1.message import Message
from tests.support.http1_wire import CONNECTION, client, play, server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Reply: r1\r\nX-Reply: r2\r\n\r\nok"
SERVER = {"client_direction": Direction.INGRESS}


def one(request: bytes, response: bytes = OK, **player: object) -> Exchange:
    (exchange,) = play([client(request), server(response)], **player)
    return exchange


def test_client_span():
    exchange = one(
        b"POST /v1/orders?email=a@b.c&page=2 HTTP/1.1\r\nHost: API.example.com:8443\r\nUser-Agent: ua/1\r\n"
        b"Cookie: secret\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert exchange.attributes == {
        "http.request.method": "POST",
        "http.request.body.size": 3,
        "http.response.status_code": 200,
        "http.response.body.size": 2,
        "network.local.address": "10.0.0.1",
        "network.local.port": 40000,
        "network.peer.address": "10.0.0.2",
        "network.peer.port": 443,
        "network.protocol.version": "1.1",
        "network.transport": "tcp",
        "server.address": "api.example.com",
        "server.port": 8443,
        "url.full": "https://api.example.com:8443/v1/orders?email=REDACTED&page=REDACTED",
        "user_agent.original": "ua/1",
    }


def test_server_span():
    exchange = one(
        b"GET /v1/orders?email=a@b.c HTTP/1.0\r\nHost: api.example.com\r\nUser-Agent: ua/1\r\n\r\n", **SERVER
    )
    assert exchange.attributes == {
        "client.address": "10.0.0.2",
        "http.request.method": "GET",
        "http.request.body.size": 0,
        "http.response.status_code": 200,
        "http.response.body.size": 2,
        "network.local.address": "10.0.0.1",
        "network.local.port": 40000,
        "network.peer.address": "10.0.0.2",
        "network.peer.port": 443,
        "network.protocol.version": "1.0",
        "network.transport": "tcp",
        "server.address": "api.example.com",
        "server.port": 443,
        "url.path": "/v1/orders",
        "url.query": "email=REDACTED",
        "url.scheme": "https",
        "user_agent.original": "ua/1",
    }


@pytest.mark.parametrize(
    ("head", "address", "port", "url"),
    [
        (b"GET /x HTTP/1.1\r\nHost: h", "h", 443, "https://h/x"),
        (b"GET /x HTTP/1.1\r\nHost: [::1]:444", "::1", 444, "https://[::1]:444/x"),
        (b"GET http://o/x?y HTTP/1.1\r\nHost: h", "o", 80, "http://o/x?y"),
        (b"GET https://u:secret@o:1/x HTTP/1.1\r\nHost: h", "o", 1, "https://REDACTED:REDACTED@o:1/x"),
        (b"OPTIONS * HTTP/1.1\r\nHost: h", "h", 443, "https://h"),
        (b"CONNECT o:444 HTTP/1.1\r\nHost: h", "o", 444, "https://o:444"),
        (b"GET /x HTTP/1.0\r\nA: b", "10.0.0.2", 443, "https://10.0.0.2:443/x"),
        (b"GET /x HTTP/1.1\r\nHost: evil host", "10.0.0.2", 443, "https://10.0.0.2:443/x"),
    ],
)
def test_where_a_client_says_it_goes(head: bytes, address: str, port: int, url: str):
    (exchange,) = play([client(head + b"\r\n\r\n"), server(b"HTTP/1.1 204 No\r\n\r\n")])
    assert exchange.attributes["server.address"] == address
    assert exchange.attributes["server.port"] == port
    assert exchange.attributes["url.full"] == url


def test_without_host_and_peer_nothing_is_guessed():
    attributes = one(b"GET /x?y=1 HTTP/1.0\r\n\r\n", context=ConnectionContext(id=CONNECTION)).attributes
    assert "server.address" not in attributes
    assert not any(name.startswith("network.peer") for name in attributes)
    assert attributes["url.full"] == "/x?y=REDACTED"


@pytest.mark.parametrize(
    ("fields", "client_address", "address", "port", "scheme"),
    [
        (b"Host: h", "10.0.0.2", "h", 443, "https"),
        (b"Host: h:8443", "10.0.0.2", "h", 8443, "https"),
        (b"A: b", "10.0.0.2", None, None, "https"),
        (b"Host: h\r\nX-Forwarded-For: 203.0.113.7, 10.9.9.9", "203.0.113.7", "h", 443, "https"),
        (b"Host: h\r\nX-Forwarded-For: secret", "10.0.0.2", "h", 443, "https"),
        (b"Host: h\r\nX-Forwarded-Host: o, p\r\nX-Forwarded-Proto: HTTP", "10.0.0.2", "o", 80, "http"),
        (b"Host: h\r\nX-Forwarded-Proto: secret", "10.0.0.2", "h", 443, "https"),
        (b"Host: h\r\nForwarded: for=203.0.113.8;host=f:81;proto=http", "203.0.113.8", "f", 81, "http"),
        (b"Host: h\r\nForwarded: ;;=\r\nX-Forwarded-For: 203.0.113.7", "203.0.113.7", "h", 443, "https"),
    ],
)
def test_who_asks_a_server_for_what(
    fields: bytes, client_address: str, address: str | None, port: int | None, scheme: str
):
    attributes = one(b"GET / HTTP/1.1\r\n" + fields + b"\r\n\r\n", **SERVER).attributes
    assert attributes["client.address"] == client_address
    assert attributes.get("server.address") == address
    assert attributes.get("server.port") == port
    assert attributes["url.scheme"] == scheme


@pytest.mark.parametrize(("target", "path"), [(b"*", "*"), (b"http://o?q=1", "/"), (b"/a%20b", "/a%20b")])
def test_path_of_a_server_span(target: bytes, path: str):
    attributes = one(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n", **SERVER).attributes
    assert attributes["url.path"] == path


def test_unknown_methods():
    exchange = one(b"get / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert exchange.name == "HTTP"
    assert exchange.attributes["http.request.method"] == "_OTHER"
    assert exchange.attributes["http.request.method_original"] == "get"
    exchange = one(b"PROPFIND / HTTP/1.1\r\nHost: h\r\n\r\n", options=HttpOptions(known_methods=["PROPFIND"]))
    assert exchange.name == exchange.attributes["http.request.method"] == "PROPFIND"
    exchange = one(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", options=HttpOptions(known_methods=["PROPFIND"]))
    assert exchange.attributes["http.request.method"] == "_OTHER"
    assert one(b"QUERY / HTTP/1.1\r\nHost: h\r\n\r\n").name == "QUERY"


def test_allow_listed_fields_and_query_keys():
    options = HttpOptions(
        client_request_headers=["X-Tenant", " accept "],
        client_response_headers=["x-reply"],
        server_request_headers=["X-Other"],
        query_allow=["page"],
    )
    request = b"GET /?page=2&q=secret HTTP/1.1\r\nHost: h\r\nx-tenant: t1\r\nX-Other: o\r\n"
    request += b"Accept: a\r\nAccept: b\r\n\r\n"
    attributes = one(request, options=options).attributes
    headers = {name: value for name, value in attributes.items() if ".header." in name}
    assert headers == {
        "http.request.header.x-tenant": ("t1",),
        "http.request.header.accept": ("a, b",),
        "http.response.header.x-reply": ("r1, r2",),
    }
    assert attributes["url.full"] == "https://h/?page=2&q=REDACTED"
    attributes = one(request, options=options, **SERVER).attributes
    assert {name for name in attributes if ".header." in name} == {"http.request.header.x-other"}


def test_texts_are_bounded():
    attributes = one(
        b"M" * 60 + b" /" + b"p" * 9000 + b" HTTP/1.1\r\nHost: h\r\nUser-Agent: " + b"u" * 9000 + b"\r\n\r\n"
    ).attributes
    lengths = {name: len(value) for name, value in attributes.items() if isinstance(value, str)}
    assert lengths["http.request.method_original"] == 32
    assert lengths["user_agent.original"] == 512
    assert lengths["url.full"] == len("https://h") + 4096


def test_no_field_outside_the_allow_list_and_no_query_value_is_shown():
    canary = b"cAnArY"
    for player in ({}, SERVER):
        exchange = one(
            b"POST https://cAnArY:cAnArY@h/p?k=cAnArY&cAnArY@x HTTP/1.1\r\nHost: h\r\nCookie: cAnArY\r\n"
            b"Authorization: cAnArY\r\nX-Forwarded-For: cAnArY\r\nX-Forwarded-Proto: cAnArY\r\n"
            b"Forwarded: for=cAnArY;proto=cAnArY\r\nBaggage: k=cAnArY\r\nContent-Type: cAnArY/x\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n6;e=cAnArY\r\ncAnArY\r\n0\r\nT: cAnArY\r\n\r\n",
            b"HTTP/1.1 200 cAnArY\r\nSet-Cookie: cAnArY\r\nContent-Length: 6\r\n\r\ncAnArY",
            **player,
        )
        shown = (exchange.name, exchange.attributes, exchange.propagation, exchange.error_type)
        assert canary.decode() not in repr(shown)
        assert exchange.request is not None
        assert exchange.request.body == canary


def test_caches_are_bounded():
    builder = AttributeBuilder(HttpOptions())
    for number in range(3 * CACHED_VALUES):
        request = Message(b"", 0, 0)
        request.target = b"/%d" % number
        builder._target(request)
    assert len(builder._targets) <= CACHED_VALUES
    request.target = b"/" + b"x" * 5000
    builder._target(request)
    assert request.target not in builder._targets
