# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.discovery import selectors
from otel_qtap.settings import values
from otel_qtap.settings.values import HostPort, ProcessSelector

Parser = Callable[[str], object]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.byte_count, "16777216", 16777216),
        (values.byte_count, "16MiB", 16 << 20),
        (values.byte_count, " 512 kib ", 512 << 10),
        (values.byte_count, "1gib", 1 << 30),
        (values.byte_count, "0", 0),
        (values.whole_number, " 12 ", 12),
        (values.whole_number, "-1", -1),
        (values.number, "0.5", 0.5),
        (values.number, "5", 5.0),
        (values.flag, "TRUE", True),
        (values.flag, " false ", False),
        (values.word, " Gzip ", "gzip"),
        (values.comma_list, "a, b,,c ", ("a", "b", "c")),
        (values.comma_list, "", ()),
        (values.word_list, "B3,tracecontext,b3", ("b3", "tracecontext")),
        (values.header_names, "X-Request-Id, x-request-id,Via", ("x-request-id", "via")),
        (values.key_values, "a=b%20c, d = e%2Cf=g", {"a": "b c", "d": "e,f=g"}),
        (values.header_fields, "Authorization=Basic%20dQ==", {"authorization": "Basic dQ=="}),
        (values.kubelet, " Auto ", "auto"),
        (values.kubelet, "https://[fd00::7]:10250/", "https://[fd00::7]:10250"),
        (values.host_port, "127.0.0.1:13133", HostPort("127.0.0.1", 13133)),
        (values.host_port, "[::1]:0", HostPort("::1", 0)),
        (values.absolute_path, "/var/lib", Path("/var/lib")),
        (values.absolute_paths, "/a,/b", (Path("/a"), Path("/b"))),
        (values.store_url, "file:///var/lib/x/", "file:///var/lib/x"),
        (values.store_url, "file://localhost/x", "file:///x"),
        (values.store_url, "s3://bucket/a/b/", "s3://bucket/a/b"),
        (values.store_url, "s3://bucket", "s3://bucket"),
        (values.store_url, "memory:", "memory:"),
        (values.store_url, "none:", "none:"),
        (values.networks, "10.1.2.3, ::1/128", (ip_network("10.1.2.3"), ip_network("::1"))),
        (values.header_name, " X-Forwarded-User ", "x-forwarded-user"),
        (values.secret_token, " 0123456789abcdef\n", "0123456789abcdef"),
        (
            values.process_selectors,
            "curl,exe=/usr/bin/*, user = www-data",
            (
                ProcessSelector("exe", "curl"),
                ProcessSelector("exe", "/usr/bin/*"),
                ProcessSelector("user", "www-data"),
            ),
        ),
    ],
)
def test_reads(parse: Parser, text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "complaint"),
    [
        (values.byte_count, "16MB", "not a number of bytes"),
        (values.byte_count, "MiB", "not a number of bytes"),
        (values.byte_count, "-1", "not a number of bytes"),
        (values.byte_count, "1.5MiB", "not a number of bytes"),
        (values.flag, "yes", "3 characters"),
        (values.header_names, "via,x y", "item 2 of 2"),
        (values.key_values, "a=b,c", "item 2 of 2"),
        (values.key_values, "=b", "item 1 of 1"),
        (values.header_fields, "a=x%0d%0ay:z", "line break"),
        (values.header_fields, "a b=x", "no field name may have"),
        (values.host_port, "13133", "not HOST:PORT"),
        (values.host_port, "::1:80", "not HOST:PORT"),
        (values.host_port, "localhost:http", "0 to 65535"),
        (values.host_port, "localhost:65536", "0 to 65535"),
        (values.absolute_path, "var/lib", "no '/'"),
        (values.absolute_paths, "/a,b", "item 2 of 2"),
        (values.existing_file, "/nowhere/at/all", "no existing file"),
        (values.existing_file, "/", "something else"),
        (values.existing_file, "/" + "x" * 5000, "no existing file"),
        (values.whole_number, "5s", "2 characters, not a whole number"),
        (values.whole_number, "1.5", "a number with a fraction, not a whole number"),
        (values.number, "5s", "2 characters, not a number"),
        (values.number, "nan", "not a number"),
        (values.store_url, "/var/lib", "none of the schemes"),
        (values.store_url, "file://\u2100/x", "malformed"),
        (values.store_url, "gs://bucket", "none of the schemes"),
        (values.kubelet, "10.0.0.7:10250", "none of these words"),
        (values.kubelet, "https://node:10250/pods", "none of these words"),
        (values.kubelet, "https://user@node", "none of these words"),
        (values.kubelet, "https://", "none of these words"),
        (values.kubelet, "https://node:x", "malformed"),
        (values.store_url, "file://var/lib", "absolute directory"),
        (values.store_url, "s3://Bucket", "naming rules"),
        (values.store_url, "s3://bucket?x=y", "query"),
        (values.process_selectors, "curl,name=x", "item 2 of 2"),
        (values.process_selectors, "exe=", "nothing after"),
        (values.networks, "10.0.0.1,10.0.0.1/8", "item 2 of 2"),
        (values.networks, "proxy", "item 1 of 1"),
        (values.header_name, "X User", "no field name may have"),
        (values.secret_token, "short", "5 characters that are too few"),
        (values.secret_token, "long enough but with spaces", "not all of them visible"),
        (values.secret_token, "é" * 20, "not all of them visible"),
    ],
)
def test_refuses(parse: Parser, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(text)


PARSERS = [
    values.byte_count,
    values.whole_number,
    values.number,
    values.flag,
    values.header_names,
    values.key_values,
    values.header_fields,
    values.host_port,
    values.absolute_path,
    values.absolute_paths,
    values.existing_file,
    values.kubelet,
    values.store_url,
    values.process_selectors,
    values.networks,
    values.header_name,
    values.secret_token,
]


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parser: parser.__name__)
@given(text=st.text())
def test_any_text_is_read_or_refused_without_being_repeated(parse: Parser, text: str) -> None:
    message = ""
    try:
        parse(text + "hunter2secret")
    except ValueError as refusal:
        message = str(refusal)
    assert "hunter2secret" not in message


def test_a_listening_address_is_shown_as_it_is_written() -> None:
    assert str(HostPort("::1", 80)) == "[::1]:80"
    assert str(HostPort("127.0.0.1", 80)) == "127.0.0.1:80"


def test_keys_of_selectors_are_those_that_discovery_knows() -> None:
    assert values.SELECTOR_KEYS == selectors.KEYS
