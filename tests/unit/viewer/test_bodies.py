# SPDX-License-Identifier: Apache-2.0
import gzip

import pytest

from otel_qtap.objectstore.reader import StoredRecord
from otel_qtap.viewer import bodies
from otel_qtap.viewer.bodies import body_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def record(content_type: str, body: bytes, encoding: str = "") -> StoredRecord:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return StoredRecord(
        fields={
            "content-type": "application/http; msgtype=response",
            "qtap-body-offset": str(len(head)),
            "qtap-body-length": str(len(body)),
            "qtap-body-encoding": encoding,
        },
        block=head + body,
    )


@pytest.mark.parametrize(
    ("content_type", "body", "views"),
    [
        ("application/json", b'{"a":1}', ("json", "text", "hex")),
        ("application/problem+json", b"[]", ("json", "text", "hex")),
        ("application/x-ndjson", b"{}\n{}", ("json", "text", "hex")),
        ("", b" [1]", ("json", "text", "hex")),
        ("application/json", b"\x89\xff\0\1\2\3", ("hex", "text")),
        ("text/html", b"<p>", ("text", "hex")),
        ("image/svg+xml", b"<svg onload=alert(1)>", ("text", "hex")),
        ("text/html", PNG, ("image", "hex", "text")),
        ("image/png", b"<script>alert(1)</script>", ("text", "hex")),
        ("application/octet-stream", bytes(range(256)), ("hex", "text")),
        ("application/octet-stream", b"just some text", ("text", "hex")),
        ("application/x-www-form-urlencoded", b"a=1", ("form", "text", "hex")),
        ("multipart/form-data; boundary=X", b"--X\r\n\r\na\r\n--X--", ("parts", "text", "hex")),
        ("multipart/form-data", b"--X\r\n\r\na\r\n--X--", ("text", "hex")),
        ("text/plain", b"\x1b[31mred\x1b[0m", ("text", "hex")),
        ("text/plain", b"", ()),
    ],
)
def test_the_view_fits_the_bytes(content_type: str, body: bytes, views: tuple[str, ...]) -> None:
    assert body_of(record(content_type, body)).views == views


def test_content_codings_are_undone() -> None:
    found = body_of(record("text/plain", gzip.compress(b"hello"), "gzip"))
    assert (found.content.data, found.note) == (b"hello", "")


def test_what_cannot_be_undone_is_shown_as_it_was_sent() -> None:
    found = body_of(record("text/plain", b"hello", "gzip"))
    assert found.content.data == b"hello"
    assert found.note == "Shown as it was sent: the body is not valid gzip."


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_bomb_is_cut(encoding: str, monkeypatch) -> None:
    monkeypatch.setattr(bodies, "DISPLAY_BYTES", 1 << 20)
    big = bytes(3 << 20)
    found = body_of(record("text/plain", gzip.compress(big) if encoding else big, encoding))
    assert len(found.content.data) == 1 << 20
    assert "Only the first 1 MiB" in found.note


@pytest.mark.parametrize(
    ("declared", "body", "charset"),
    [
        ("utf-8", b"x", "utf-8"),
        ("ISO-8859-1", b"x", "iso8859-1"),
        ("latin1", b"x", "iso8859-1"),
        ("windows-1252", b"x", "cp1252"),
        ("shift_jis", b"x", "shift_jis"),
        ("", b"\xff\xfea\0", "utf-16"),
        ("latin1", b"\xef\xbb\xbfx", "utf-8"),
        ("punycode", b"x", "utf-8"),
        ("unicode_escape", b"x", "utf-8"),
        ("base64", b"x", "utf-8"),
        ("no-such-charset", b"x", "utf-8"),
        ("a\\0b", b"x", "utf-8"),
        ("é", b"x", "utf-8"),
    ],
)
def test_text_is_read_in_its_charset_where_that_is_safe(declared: str, body: bytes, charset: str) -> None:
    assert body_of(record(f"text/plain; charset={declared}", body)).content.charset == charset
