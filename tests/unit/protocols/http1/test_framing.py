# SPDX-License-Identifier: Apache-2.0
"""RFC 9112 section 6.3, rule by rule."""

import pytest

from otel_qtap.model.exchange import Incomplete
from otel_qtap.protocols.http1.framing import Framing, request_framing, response_framing, transfer_codings
from otel_qtap.protocols.http1.message import Fields, Message

NOTHING, LENGTH, CHUNKED, CLOSE = Framing.NOTHING, Framing.LENGTH, Framing.CHUNKED, Framing.UNTIL_CLOSE
SWITCH, INVALID = Framing.SWITCH, Framing.INVALID


def message(fields: Fields, *, status: int = 0, version: str = "1.1") -> Message:
    result = Message(b"", 0, 0)
    result.fields, result.status, result.version = fields, status, version
    return result


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        ({}, NOTHING),
        ({b"content-length": b"0"}, NOTHING),
        ({b"content-length": b"5"}, LENGTH),
        ({b"content-length": b"5, 5"}, LENGTH),
        ({b"content-length": b"5, 6"}, INVALID),
        ({b"content-length": b""}, INVALID),
        ({b"content-length": b"5,"}, INVALID),
        ({b"content-length": b"+5"}, INVALID),
        ({b"content-length": b"9" * 19}, INVALID),
        ({b"transfer-encoding": b"chunked"}, CHUNKED),
        ({b"transfer-encoding": b"gzip, Chunked"}, CHUNKED),
        ({b"transfer-encoding": b"gzip;q=1, chunked"}, CHUNKED),
        ({b"transfer-encoding": b"chunked, gzip"}, INVALID),
        ({b"transfer-encoding": b"chunked, chunked"}, INVALID),
        ({b"transfer-encoding": b"identity"}, INVALID),
        ({b"transfer-encoding": b""}, INVALID),
        ({b"transfer-encoding": b"xchunked"}, INVALID),
    ],
)
def test_requests(fields: Fields, framing: Framing):
    assert request_framing(message(fields)) is framing


@pytest.mark.parametrize(
    ("fields", "status", "method", "framing"),
    [
        ({}, 200, b"GET", CLOSE),
        ({b"content-length": b"5"}, 200, b"GET", LENGTH),
        ({b"content-length": b"5, 6"}, 200, b"GET", INVALID),
        ({b"content-length": b"5"}, 200, b"HEAD", NOTHING),
        ({b"transfer-encoding": b"chunked"}, 200, b"HEAD", NOTHING),
        ({b"content-length": b"5"}, 304, b"GET", NOTHING),
        ({b"transfer-encoding": b"chunked"}, 204, b"GET", NOTHING),
        ({}, 100, b"POST", NOTHING),
        ({}, 103, b"GET", NOTHING),
        ({}, 101, b"GET", SWITCH),
        ({b"content-length": b"5"}, 200, b"CONNECT", SWITCH),
        ({b"content-length": b"5"}, 407, b"CONNECT", LENGTH),
        ({b"transfer-encoding": b"gzip"}, 200, b"GET", CLOSE),
        ({b"transfer-encoding": b"chunked, gzip"}, 200, b"GET", CLOSE),
        ({b"transfer-encoding": b"gzip, chunked"}, 200, b"GET", CHUNKED),
        ({}, 200, b"", CLOSE),
    ],
)
def test_responses(fields: Fields, status: int, method: bytes, framing: Framing):
    assert response_framing(message(fields, status=status), method) is framing


def test_transfer_encoding_overrides_a_length_and_is_marked():
    both = message({b"transfer-encoding": b"chunked", b"content-length": b"5"})
    assert request_framing(both) is CHUNKED
    assert both.flaws == (Incomplete.MALFORMED,)


def test_transfer_encoding_in_http_1_0_is_faulty():
    assert request_framing(message({b"transfer-encoding": b"chunked"}, version="1.0")) is INVALID


def test_codings_in_the_order_of_application():
    assert transfer_codings(message({b"transfer-encoding": b"GZIP;x=1 , chunked"})) == [b"gzip", b"chunked"]
