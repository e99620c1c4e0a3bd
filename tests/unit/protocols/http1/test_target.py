# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.protocols.http1.target import (
    MAX_QUERY_KEYS,
    Authority,
    Target,
    parse_authority,
    parse_forwarded,
    parse_node_address,
    parse_target,
    redact_query,
)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"email=a@b.c&page=2", "email=REDACTED&page=REDACTED"),
        (b"a=1;b=2", "a=REDACTED"),
        (b"a=", "a=REDACTED"),
        (b"=x", "=REDACTED"),
        (b"a=b=c", "a=REDACTED"),
        (b"", ""),
        (b"a&&b", "a&&b"),
        (b"acl", "acl"),
        (b"john@example.com", "REDACTED"),
        (b"secret with spaces", "REDACTED"),
        (b"A" * 33, "REDACTED"),
        (b"k" * 65 + b"=v", "REDACTED=REDACTED"),
        (b"caf\xc3\xa9=1&\xff=2", "caf\u00e9=REDACTED&\ufffd=REDACTED"),
        (b"page=2&user=x", "page=2&user=REDACTED"),
        (b"Page=2", "Page=REDACTED"),
    ],
)
def test_values_go_and_keys_stay(query: bytes, shown: str):
    allow = frozenset({"page"}) if query.startswith((b"page", b"Page")) else frozenset()
    assert redact_query(query, allow) == shown


def test_the_number_of_keys_is_bounded():
    query = b"&".join(b"k%d=%d" % (number, number) for number in range(1000))
    assert redact_query(query).count("&") == MAX_QUERY_KEYS


@given(st.lists(st.tuples(st.from_regex(rb"[a-z]{1,5}", fullmatch=True), st.binary(max_size=20)), max_size=5))
def test_no_value_is_shown(pairs: list[tuple[bytes, bytes]]):
    canary = b"cAnArY"
    query = b"&".join(key + b"=" + canary + value.replace(b"&", b"") for key, value in pairs)
    assert "cAnArY" not in redact_query(query)


@pytest.mark.parametrize(
    ("target", "method", "parsed"),
    [
        (b"/a/b?c=d", b"GET", Target("", b"", False, "/a/b", "c=REDACTED")),
        (b"/a?", b"GET", Target("", b"", False, "/a", "")),
        (b"/a", b"GET", Target("", b"", False, "/a", None)),
        (b"*", b"OPTIONS", Target("", b"", False, "*", None)),
        (b"http://h:81/p?q=1", b"GET", Target("http", b"h:81", False, "/p", "q=REDACTED")),
        (b"HTTPS://u:secret@h", b"GET", Target("https", b"h", True, "/", None)),
        (b"http://u@h?q=secret", b"GET", Target("http", b"h", True, "/", "q=REDACTED")),
        (b"h:443", b"CONNECT", Target("", b"h:443", False, "", None)),
        (b"u:secret@h:443", b"CONNECT", Target("", b"h:443", True, "", None)),
        (b"/\xc3\xa9\xff", b"GET", Target("", b"", False, "/\u00e9\ufffd", None)),
        (b"relative", b"GET", Target("", b"", False, "relative", None)),
    ],
)
def test_forms_of_targets(target: bytes, method: bytes, parsed: Target):
    assert parse_target(target, method, frozenset()) == parsed


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        (b"API.example.com", Authority("api.example.com", None)),
        (b"h:8443", Authority("h", 8443)),
        (b"h:", Authority("h", None)),
        (b"[::1]:443", Authority("::1", 443)),
        (b"[2001:DB8::1]", Authority("2001:db8::1", None)),
        (b"10.0.0.1", Authority("10.0.0.1", None)),
        (b"", None),
        (b"h:port", None),
        (b"a, b", None),
        (b"u@h", None),
        (b"h/path", None),
        (b"x" * 256, None),
        (b"caf\xc3\xa9", None),
        (b"h\n", None),
    ],
)
def test_authorities(value: bytes, parsed: Authority | None):
    assert parse_authority(value) == parsed


def test_the_first_element_of_forwarded_counts():
    value = b'For="[2001:db8::1]:4711"; host=a.example;proto=https, for=10.0.0.1;host=evil'
    assert parse_forwarded(value) == {"for": b"[2001:db8::1]:4711", "host": b"a.example", "proto": b"https"}


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (b"203.0.113.7", "203.0.113.7"),
        (b" 203.0.113.7:5 ", "203.0.113.7"),
        (b"[2001:db8::1]:4711", "2001:db8::1"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"unknown", ""),
        (b"_hidden", ""),
        (b"secret", ""),
        (b"", ""),
        (b"[", ""),
        (b"\xff", ""),
    ],
)
def test_nothing_but_an_address_passes(value: bytes, address: str):
    assert parse_node_address(value) == address
