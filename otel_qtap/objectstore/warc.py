# SPDX-License-Identifier: Apache-2.0
"""One exchange as two WARC 1.1 records, each a gzip member that can be read alone.

https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/

The record's block is the message: head, body, and for a chunked message its framing, restored as
one chunk with the last chunk and the trailer fields behind it. Fields of our own, beside those of
the standard:

Qtap-Trace-Id, Qtap-Span-Id   the span that refers to the record (lower-case hex)
Qtap-Body-Offset, -Length     where in the block the body is, as the application saw it
Qtap-Body-Encoding            its content coding
Qtap-Concurrent-Range         in a response: ``first-last`` bytes of the segment that hold its
                              request; the response of a request is always the next member
Qtap-Truncated, Qtap-Redacted what the standard has no word for

Digests are SHA-256 in base 16, which RFC 4648 and every reader of labelled digests know: the
customary base 32 costs Python three times what the hash does.
"""

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

from isal.igzip_lib import COMP_GZIP, compress

from otel_qtap.model.classified import ClassifiedExchange, ClearedPayload
from otel_qtap.model.exchange import AttributeValue
from otel_qtap.model.identity import Endpoint, Role

COMPRESSION_LEVEL = 1
SMALL_RECORD_BYTES = 1024
"""Below, level 0 (ISA-L's fixed code tables): making tables for one record costs 5 µs whatever its size.
A request without a body, 740 bytes with its WARC fields, takes 640 bytes in place of 470 and 1.6 µs in
place of 6.2; of an exchange of 1 KiB that is a ninth more to store."""
RECORD_END = b"\r\n\r\n"
_EMPTY_SHA256 = sha256(b"").hexdigest()
_TRUNCATED = {"length": "length", "disconnect": "disconnect", "gap": "unspecified"}
_PRINTABLE = "!#$%&'()*+,/:;=?@[]~-._"
_PROTOCOL_NAMES = {("http", "2"): "h2", ("http", "3"): "h3"}


class StoredMessage(NamedTuple):
    """One record, ready to be appended to a segment."""

    member: bytes
    sha256: str
    """Of the body as captured, hex."""


class WarcWriter:
    """Makes the records of one segment.

    ``random_bytes`` (16) keep its record ids apart from those of all other segments: ids are
    UUIDs of version 8 that count up, because a random UUID per record costs as much as its hash.
    """

    __slots__ = ("_id_prefix", "_records", "_second", "_second_text")

    def __init__(self, random_bytes: bytes) -> None:
        digits = random_bytes.hex()
        self._id_prefix = f"<urn:uuid:{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-a{digits[17:20]}-"
        self._records = 0
        self._second = -1
        self._second_text = ""

    def warcinfo(self, *, filename: str, software: str, unix_ns: int) -> bytes:
        """The member that opens a segment and says what the file is."""
        block = (
            f"software: {software}\r\n"
            "format: WARC File Format 1.1\r\n"
            "conformsTo: https://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/\r\n"
        ).encode()
        header = (
            "WARC/1.1\r\nWARC-Type: warcinfo\r\n"
            f"WARC-Record-ID: {self._next_id()}\r\n"
            f"WARC-Date: {self._date(unix_ns)}\r\n"
            f"WARC-Filename: {filename}\r\n"
            f"Content-Type: application/warc-fields\r\nContent-Length: {len(block)}\r\n\r\n"
        ).encode()
        return _member(header + block + RECORD_END)

    def encode(
        self, exchange: ClassifiedExchange, unix_ns: int, offset: int
    ) -> tuple[StoredMessage | None, StoredMessage | None]:
        """The records of the request and of the response, for those that there are.

        ``unix_ns`` is when the exchange began and ``offset`` where the first member will stand.
        """
        request = exchange.request
        response = exchange.response
        identity = exchange.identity
        # Both records bear the same date: they are one capture event (WARC 1.1, section 5.4).
        shared = (
            f"WARC-Date: {self._date(unix_ns)}\r\n"
            f"WARC-Target-URI: {_target_uri(exchange)}\r\n"
            f"{_connection_fields(exchange)}"
            f"Qtap-Trace-Id: {identity.trace_id.hex()}\r\n"
            f"Qtap-Span-Id: {identity.span_id.hex()}\r\n"
        )
        request_id = self._next_id() if request is not None else ""
        response_id = self._next_id() if response is not None else ""
        stored_request = stored_response = None
        if request is not None:
            extra = f"WARC-Concurrent-To: {response_id}\r\n" if response_id else ""
            stored_request = _record("request", request_id, shared + extra, request)
        if response is not None:
            extra = ""
            if stored_request is not None:
                last = offset + len(stored_request.member) - 1
                extra = f"WARC-Concurrent-To: {request_id}\r\nQtap-Concurrent-Range: {offset}-{last}\r\n"
            stored_response = _record("response", response_id, shared + extra, response)
        return stored_request, stored_response

    def _next_id(self) -> str:
        self._records += 1
        return f"{self._id_prefix}{self._records:012x}>"

    def _date(self, unix_ns: int) -> str:
        second, nanoseconds = divmod(unix_ns, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return f"{self._second_text}{nanoseconds // 1000:06d}Z"


def _record(record_type: str, record_id: str, shared: str, payload: ClearedPayload) -> StoredMessage:
    head = payload.head
    body = payload.body
    length = len(body)
    digest = sha256(body).hexdigest() if length else _EMPTY_SHA256
    if not payload.chunked:
        offset = len(head)
        block = head + body + payload.tail
        # The payload of HTTP is what follows the head; the standard names none for other messages.
        digest_field = f"WARC-Payload-Digest: sha256:{digest}\r\n" if head and not payload.tail else ""
    else:
        size_line = b"%x\r\n" % length if length else b""
        framed = b"".join((size_line, body, b"\r\n0\r\n" if length else b"0\r\n", _trailer(payload.tail)))
        offset = len(head) + len(size_line)
        block = head + framed
        # The payload of a record includes its transfer coding: that is what readers verify.
        digest_field = f"WARC-Payload-Digest: sha256:{sha256(framed).hexdigest()}\r\n"
    if not digest_field or not payload.record_type.startswith("application/http"):
        digest_field = f"WARC-Block-Digest: sha256:{sha256(block).hexdigest()}\r\n"
    notes = ""
    if payload.encoding:
        notes = f"Qtap-Body-Encoding: {_field_text(payload.encoding.encode('utf-8', 'replace'))}\r\n"
    if payload.truncated:
        notes += f"WARC-Truncated: {_TRUNCATED.get(payload.truncated, 'unspecified')}\r\n"
        notes += f"Qtap-Truncated: {payload.truncated}\r\n"
    if payload.redacted:
        notes += "Qtap-Redacted: true\r\n"
    header = (
        f"WARC/1.1\r\nWARC-Type: {record_type}\r\nWARC-Record-ID: {record_id}\r\n"
        f"{shared}{digest_field}{notes}"
        f"Qtap-Body-Offset: {offset}\r\nQtap-Body-Length: {length}\r\n"
        f"Content-Type: {payload.record_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return StoredMessage(_member(b"".join((header.encode(), block, RECORD_END))), digest)


def _member(record: bytes) -> bytes:
    level = COMPRESSION_LEVEL if len(record) >= SMALL_RECORD_BYTES else 0
    member: bytes = compress(record, level, COMP_GZIP)
    return member


def _trailer(tail: bytes) -> bytes:
    """Trailer fields with the empty line that ends a chunked message."""
    if not tail:
        return b"\r\n"
    if tail.endswith((b"\r\n\r\n", b"\n\n")) or tail in (b"\r\n", b"\n"):
        return tail
    return tail + (b"\r\n" if tail.endswith(b"\n") else RECORD_END)


def _target_uri(exchange: ClassifiedExchange) -> str:
    """The URL that was asked for. It stays in the store, so it is the real one of the request's head.

    Falls back on the span's (scrubbed) attributes, and on the peer's address: the field is mandatory.
    """
    attributes = exchange.attributes
    target = b""
    if exchange.request is not None:
        start_line = exchange.request.head.partition(b"\n")[0].split()
        if len(start_line) > 1:
            target = start_line[1]
            if target.startswith((b"http://", b"https://")):
                return _field_text(target)
    elif (full := attributes.get("url.full")) is not None:
        return _field_text(str(full).encode("utf-8", "replace"))
    scheme = attributes.get("url.scheme") or ("https" if exchange.protocol == "http" else exchange.protocol)
    path = (
        target
        if target.startswith(b"/")
        else str(attributes.get("url.path") or "/").encode("utf-8", "replace")
    )
    return _field_text(f"{scheme}://{_authority(exchange, attributes)}".encode("utf-8", "replace") + path)


def _authority(exchange: ClassifiedExchange, attributes: Mapping[str, AttributeValue]) -> str:
    address = attributes.get("server.address")
    port = attributes.get("server.port")
    if not address:
        endpoint = _server_endpoint(exchange)
        if endpoint is None:
            return "unknown"
        address, port = endpoint
    host = f"[{address}]" if ":" in str(address) else address
    return f"{host}:{port}" if port and port != 443 else f"{host}"


def _server_endpoint(exchange: ClassifiedExchange) -> Endpoint | None:
    connection = exchange.connection
    return connection.local if connection.role is Role.SERVER else connection.remote


def _connection_fields(exchange: ClassifiedExchange) -> str:
    """WARC-IP-Address (of the server, says the standard) and WARC-Protocol (a field per layer).

    https://github.com/iipc/warc-specifications/issues/42
    """
    endpoint = _server_endpoint(exchange)
    protocol = exchange.protocol
    version = exchange.protocol_version
    name = _PROTOCOL_NAMES.get((protocol, version)) or (f"{protocol}/{version}" if version else protocol)
    address = f"WARC-IP-Address: {endpoint.address}\r\n" if endpoint is not None else ""
    return f"{address}WARC-Protocol: {name}\r\nWARC-Protocol: tls\r\n"


def _field_text(raw: bytes) -> str:
    """Text that cannot break out of a header field: anything but visible ASCII is percent-encoded."""
    if raw.isascii():
        text = raw.decode("ascii")
        if text.isprintable() and " " not in text:
            return text
    return quote(raw, safe=_PRINTABLE)
