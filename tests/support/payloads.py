# SPDX-License-Identifier: Apache-2.0
"""Bodies that describe themselves: each piece says whose it is and where it belongs."""

import hashlib
from itertools import count


def self_describing(key: str, size: int) -> bytes:
    """``size`` bytes of lines ``<key> <offset>``, so that a byte out of place or of another body shows."""
    lines = bytearray()
    for number in count():
        if len(lines) >= size:
            return bytes(lines[:size])
        lines += b"%s %010d %d\n" % (key.encode(), len(lines), number)
    raise AssertionError


def text_of_entropy(size: int, seed: str = "qtap") -> bytes:
    """``size`` bytes of hexadecimal text that compresses like data, not like a repeated line."""
    blocks = [hashlib.sha256(f"{seed}{n}".encode()).hexdigest().encode() for n in range(size // 64 + 1)]
    return b"".join(blocks)[:size]


def json_records(size: int) -> bytes:
    """``size`` bytes of what services answer: JSON objects with ids, names, numbers and times."""
    items = bytearray(b"[")
    for number in count():
        if len(items) >= size:
            return bytes(items[:size])
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        items += (
            f'{{"id":"{digest[:12]}","customer":"customer-{int(digest[12:15], 16)}","quantity":{number % 9},'
            f'"price":{int(digest[15:19], 16) / 100},"paid":{str(number % 3 == 0).lower()},'
            f'"created":"2026-0{1 + number % 9}-1{number % 10}T0{number % 10}:{10 + number % 50}:00Z"}},'
        ).encode()
    raise AssertionError


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()
