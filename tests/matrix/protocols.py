# SPDX-License-Identifier: Apache-2.0
"""The messages in a captured stream of each protocol. Small and strict: what is not known is a failure."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from enum import StrEnum

from tests.matrix.messages import ForeignBytesError, Message, read_messages


class Protocol(StrEnum):
    """What a row's programs speak inside TLS."""

    RAW = "raw"
    HTTP1 = "HTTP/1.1"
    HTTP2 = "HTTP/2"


def _http1(stream: bytes) -> list[Message]:
    """Bodies of HTTP/1.1 requests or responses one after the other (RFC 9112)."""
    messages, position = [], 0
    while position < len(stream):
        end = stream.find(b"\r\n\r\n", position)
        if end < 0:
            raise ForeignBytesError(f"no head at {position}: {stream[position : position + 60]!r}")
        head, position = stream[position : end + 2].lower(), end + 4
        if b"\r\ntransfer-encoding: chunked\r\n" in head:
            body, position = _chunked(stream, position)
        elif length := re.search(rb"\r\ncontent-length: *(\d+)\r\n", head):
            body = stream[position : position + int(length[1])]
            position += int(length[1])
        elif head.startswith((b"http/1.1 100", b"get ")):
            continue
        else:
            raise ForeignBytesError(f"no length in {head[:200]!r}")
        messages += read_messages(body)
    if position != len(stream):
        raise ForeignBytesError("the last body is cut off")
    return messages


def _chunked(stream: bytes, position: int) -> tuple[bytes, int]:
    body = bytearray()
    while True:
        end = stream.index(b"\r\n", position)
        size = int(stream[position:end].split(b";")[0], 16)
        position = end + 2
        body += stream[position : position + size]
        position += size + 2
        if not size:
            return bytes(body), position


_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_PADDED = 8
_MOST_FRAME = 1 << 20


def _http2(stream: bytes) -> list[Message]:
    """DATA of each stream of an HTTP/2 connection (RFC 9113 4.1, 6.1); of gRPC, the messages in it."""
    bodies: dict[int, bytearray] = defaultdict(bytearray)
    position = len(_PREFACE) if stream.startswith(_PREFACE) else 0
    while position < len(stream):
        size, kind, flags = (
            int.from_bytes(stream[position : position + 3]),
            *stream[position + 3 : position + 5],
        )
        number = int.from_bytes(stream[position + 5 : position + 9]) & 0x7FFFFFFF
        position += 9
        payload = stream[position : position + size]
        position += size
        if kind > 0x10 or size > _MOST_FRAME or len(payload) != size:
            raise ForeignBytesError(f"no frame at {position - size - 9}")
        if kind == 0:
            bodies[number] += payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload
    return [
        message for number in sorted(bodies) for message in read_messages(_unframed(bytes(bodies[number])))
    ]


def _unframed(body: bytes) -> bytes:
    """Without the five bytes before each message of gRPC, if it is that: `m` begins none of them."""
    if body[:1] != b"\0":
        return body
    parts, position = [], 0
    while position < len(body):
        size = int.from_bytes(body[position + 1 : position + 5])
        parts.append(body[position + 5 : position + 5 + size])
        position += 5 + size
    return b"".join(parts)


READERS: Mapping[Protocol, Callable[[bytes], list[Message]]] = {
    Protocol.RAW: read_messages,
    Protocol.HTTP1: _http1,
    Protocol.HTTP2: _http2,
}
