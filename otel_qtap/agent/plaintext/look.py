# SPDX-License-Identifier: Apache-2.0
"""What the first bytes of a conversation are like: plaintext, clearly random, or neither for certain.

A wrong site is given up for what is random, so nothing that an application may say in clear must be taken
for that; and what is plain clears a site, so no ciphertext must be taken for that either.
"""

from collections import Counter
from enum import Enum, auto

LOOKED_AT = 256
"""Bytes of a conversation that are looked at."""

_ENOUGH_TO_READ, _OPENING = 12, 16
_ENOUGH_TO_COUNT = 128
_READABLE = frozenset((*range(0x20, 0x7F), 0x09, 0x0A, 0x0D))
"""Of random bytes 38 %: so twelve of them in one of 100,000 cases."""
_STRUCTURED, _EVEN = 120.0, 45.0
"""Chi-square of sixteen equally likely halves of bytes, fifteen degrees of freedom: of random bytes one in
ten thousand is above 45 and none ever above 120. Text and records with lengths in them are far above that."""
_APPLICATION_DATA = b"\x17\x03\x03"
_HANDSHAKE = b"\x16\x03"
_HELLOS = _CLIENT_HELLO, _SERVER_HELLO = b"\x01", b"\x02"
_RANDOM_KEPT = slice(19, 35)
"""Bytes 8 to 23 of the random in a record with a ClientHello (RFC 8446, 4.1.2 and 5.1)."""
_COMPRESSED = (
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"PK\x03\x04",
    b"\x89PNG",
    b"\xff\xd8\xff",
)
"""Openings of gzip, zstd, LZ4, ZIP, PNG and JPEG: what follows is as even as ciphertext."""


class Look(Enum):
    """What bytes are like."""

    PLAIN = auto()
    RANDOM = auto()
    OWN_HELLO = auto()
    """The ClientHello of the connection itself: this is what goes over the wire, from its beginning."""
    UNCLEAR = auto()


def look_at(data: bytes, client_random: bytes = b"") -> Look:
    """Judge the first bytes of one direction.

    ``client_random``: bytes 8 to 23 of the random of the connection's own ClientHello, empty if unknown.
    """
    data = data[:LOOKED_AT]
    if data.startswith(_APPLICATION_DATA):
        return Look.RANDOM  # TLS inside of TLS begins with a handshake
    if data.startswith(_HANDSHAKE):
        own = client_random and data[5:6] == _CLIENT_HELLO and data[_RANDOM_KEPT] == client_random
        return Look.OWN_HELLO if own else Look.UNCLEAR
    if data[:1] in _HELLOS and data[4:5] == b"\x03":
        return Look.UNCLEAR  # a handshake message without its record, as libraries keep it for themselves
    if _is_text(data[:_OPENING]) or _is_http2_frame(data):
        return Look.PLAIN
    if len(data) < _ENOUGH_TO_COUNT or data.startswith(_COMPRESSED):
        return Look.UNCLEAR
    unevenness = max(_chi_square(byte >> 4 for byte in data), _chi_square(byte & 15 for byte in data))
    if unevenness > _STRUCTURED:
        return Look.PLAIN
    return Look.RANDOM if unevenness < _EVEN else Look.UNCLEAR


def _is_text(data: bytes) -> bool:
    return len(data) >= _ENOUGH_TO_READ and all(byte in _READABLE for byte in data)


def _is_http2_frame(data: bytes) -> bool:
    """A SETTINGS frame, with which a server begins (RFC 9113, 3.4 and 4.1)."""
    return len(data) >= 9 and data[0] == 0 and data[3] == 4 and data[4] <= 1 and data[5:9] == bytes(4)


def _chi_square(halves: object) -> float:
    counts = Counter(halves)  # type: ignore[call-overload]
    expected = counts.total() / 16
    return float(sum((counts[half] - expected) ** 2 for half in range(16)) / expected)
