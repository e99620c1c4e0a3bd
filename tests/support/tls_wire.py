# SPDX-License-Identifier: Apache-2.0
"""Handshake messages and records, put together by hand."""

from collections.abc import Iterable, Sequence

RANDOM = bytes(range(32))


def vector(length_size: int, content: bytes) -> bytes:
    """``content`` with its length before it."""
    return len(content).to_bytes(length_size) + content


def numbers(values: Iterable[int]) -> bytes:
    """16-bit numbers, one after the other."""
    return b"".join(value.to_bytes(2) for value in values)


def extensions(content: Sequence[tuple[int, bytes]]) -> bytes:
    """The extensions of a hello, with their length."""
    return vector(2, b"".join(kind.to_bytes(2) + vector(2, body) for kind, body in content))


def client_hello(
    content: Sequence[tuple[int, bytes]] | None = None,
    *,
    ciphers: Iterable[int] = (0x1301,),
    session_id: bytes = b"",
    version: int = 0x0303,
    random: bytes = RANDOM,
) -> bytes:
    """The body of a ClientHello; None: no extensions at all, not even their length."""
    body = version.to_bytes(2) + random + vector(1, session_id) + vector(2, numbers(ciphers)) + b"\1\0"
    return body if content is None else body + extensions(content)


def server_hello(
    content: Sequence[tuple[int, bytes]] | None = None,
    *,
    cipher: int = 0xC02F,
    session_id: bytes = b"",
    version: int = 0x0303,
    random: bytes = RANDOM,
) -> bytes:
    """The body of a ServerHello."""
    body = version.to_bytes(2) + random + vector(1, session_id) + cipher.to_bytes(2) + b"\0"
    return body if content is None else body + extensions(content)


def message(kind: int, body: bytes) -> bytes:
    """A handshake message with its header."""
    return bytes([kind]) + vector(3, body)


def record(content: bytes, kind: int = 22) -> bytes:
    """A TLS record."""
    return bytes([kind, 3, 3]) + vector(2, content)


def server_name(name: bytes) -> tuple[int, bytes]:
    """The extension that asks for a name."""
    return 0, vector(2, b"\0" + vector(2, name))


def alpn(*names: bytes) -> tuple[int, bytes]:
    """The extension that offers or chooses application protocols."""
    return 16, vector(2, b"".join(vector(1, name) for name in names))
