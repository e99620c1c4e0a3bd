# SPDX-License-Identifier: Apache-2.0
"""Openings of real protocols pass, ciphertext does not, and what may be either is neither."""

import random
import struct
import zlib

import pytest

from otel_qtap.agent.plaintext.look import Look, look_at
from tests.support.memory_handshake import client_hello

SOME = random.Random(1)
HTTP2_SETTINGS = bytes.fromhex("000012040000000000000300000080000400010000000500004000")
GRPC = (
    b"\x00"
    + struct.pack(">I", 300)
    + b"\x0a\x0cGreeterReply\x12\xa0\x02"
    + b"the same to you, and more of it. " * 8
)
POSTGRES = struct.pack(">II", 80, 196608) + b"user\0app\0database\0shop\0client_encoding\0UTF8\0\0"
KAFKA = struct.pack(">IHHI", 200, 18, 3, 1) + b"\0\x0bclient-name\0" + b"\0" * 100 + bytes(range(60))
MYSQL = (
    b"\x4a\0\0\0\x0a8.0.36\0"
    + bytes((8, 0, 0, 0))
    + b"abcdefgh\0\xff\xff\xff\x02\0\xff\xc1\x15"
    + bytes(40) * 2
)
LONG_TEXT = "Ωμέγα и кириллица, die Grüße, 日本語のテキスト。".encode() * 5


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + SOME.randbytes(500),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HTTP2_SETTINGS,
        HTTP2_SETTINGS,
        b"220 mail.example.com ESMTP\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b'{"jsonrpc": "2.0"}',
        GRPC,
        KAFKA,
        LONG_TEXT,
        bytes(200),
    ],
    ids=lambda data: str(data[:12]),
)
def test_plain(data: bytes) -> None:
    assert look_at(data) is Look.PLAIN


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"PING\r\n",
        SOME.randbytes(100),
        POSTGRES,
        MYSQL,
        b"\x1f\x8b\x08\x00" + zlib.compress(SOME.randbytes(400)),
        b"\x89PNG\r\n\x1a\n" + SOME.randbytes(300),
        b"\x28\xb5\x2f\xfd" + SOME.randbytes(300),
        client_hello(),
    ],
    ids=lambda data: str(data[:12]),
)
def test_neither_for_certain(data: bytes) -> None:
    assert look_at(data) is not Look.RANDOM


def test_random_bytes_are_told_in_nearly_all_cases_and_never_taken_for_plain() -> None:
    looks = [look_at(SOME.randbytes(256)) for _ in range(3000)]

    assert looks.count(Look.PLAIN) == 0
    assert looks.count(Look.RANDOM) > 2950


def test_records_of_tls_are_ciphertext_unless_they_may_be_tls_inside() -> None:
    assert look_at(b"\x17\x03\x03\x00\x20" + SOME.randbytes(32)) is Look.RANDOM
    hello = client_hello()
    assert look_at(hello) is Look.UNCLEAR
    assert look_at(hello, SOME.randbytes(16)) is Look.UNCLEAR
    assert look_at(hello, hello[19:35]) is Look.OWN_HELLO
    assert look_at(hello[5:]) is Look.UNCLEAR


def test_text_of_every_kind_is_never_random() -> None:
    for source in (GRPC, KAFKA, MYSQL, LONG_TEXT, POSTGRES * 4):
        for start in range(0, len(source), 7):
            assert look_at(source[start:]) is not Look.RANDOM
