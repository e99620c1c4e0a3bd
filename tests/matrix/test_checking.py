# SPDX-License-Identifier: Apache-2.0
"""The matrix notices wrong bindings, foreign bytes, missing messages: else its rows would prove nothing."""

from dataclasses import replace

import pytest

from otel_qtap.model.events import ConnectionObserved, DataCaptured
from otel_qtap.model.identity import ConnectionId, Direction, Endpoint, PeerSource, Role
from tests.matrix.capture import Piece
from tests.matrix.checking import compare, look_at, require_all
from tests.matrix.messages import ForeignBytesError, Message, answer, request
from tests.matrix.protocols import READERS, Protocol

ASKED = request(40_000, 443, 0, 0)
ONE = ConnectionId(1, 1, 1, 1)


def piece(data: bytes, direction: Direction, position: int = 0, local: int = 40_000) -> Piece:
    address = "127.0.0.1"
    facts = ConnectionObserved(
        ONE,
        0,
        Role.CLIENT,
        Endpoint(address, local),
        Endpoint(address, 443),
        PeerSource.HELLO_RANDOM,
        True,
        "",
        0,
    )
    return Piece(DataCaptured(ONE, direction, position, len(data), data, 0, 0), facts)


def both_ways(local: int = 40_000) -> list[Piece]:
    return [
        piece(ASKED.encode(), Direction.EGRESS, local=local),
        piece(answer(443, 40_000, ASKED).encode(), Direction.INGRESS, local=local),
    ]


def test_what_is_right_passes() -> None:
    side = look_at(both_ways(), Protocol.RAW)
    require_all(side, 1, 1)
    assert side.bindings == {"right": 2}


def test_another_connection_s_address_is_wrong() -> None:
    assert look_at(both_ways(local=40_001), Protocol.RAW).bindings == {"wrong": 2}


def test_no_address_is_unbound() -> None:
    (one, two) = both_ways()
    one.facts = two.facts = replace(one.facts, local=None, remote=None)
    assert look_at([one, two], Protocol.RAW).bindings == {"unbound": 2}


@pytest.mark.parametrize("at", [0, 12, 40])
def test_a_foreign_byte_is_noticed(at: int) -> None:
    data = bytearray(request(40_000, 443, 1, 0).encode())
    data[at] ^= 1
    with pytest.raises(ForeignBytesError):
        look_at([piece(bytes(data), Direction.EGRESS)], Protocol.RAW)


def test_a_hole_is_noticed() -> None:
    data = ASKED.encode()
    with pytest.raises(AssertionError, match="a hole"):
        look_at([piece(data[:5], Direction.EGRESS), piece(data[6:], Direction.EGRESS, 6)], Protocol.RAW)


def test_a_message_of_another_connection_is_noticed() -> None:
    stranger = request(40_002, 443, 1, 0)
    with pytest.raises(AssertionError, match="holds what belongs to"):
        look_at([piece(ASKED.encode() + stranger.encode(), Direction.EGRESS)], Protocol.RAW)


def test_a_missing_and_a_repeated_message_are_noticed() -> None:
    side = look_at(both_ways(), Protocol.RAW)
    with pytest.raises(AssertionError, match="missing"):
        require_all(side, 1, 2)
    side.messages[Direction.EGRESS][0, 0] += 1
    with pytest.raises(AssertionError, match="too many"):
        require_all(side, 1, 1)


def test_ends_that_differ_are_noticed() -> None:
    near, far = look_at(both_ways(), Protocol.RAW), look_at(both_ways(), Protocol.RAW)
    far.streams = {(443, 40_000): {Direction.EGRESS: b"", Direction.INGRESS: b""}}
    with pytest.raises(AssertionError, match="different bytes"):
        compare(near, far, Protocol.RAW)


def test_messages_are_found_in_bodies_of_http() -> None:
    message = Message(1, 2, 3, 4, 300, 0)
    body = message.encode()
    sized = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        len(body),
        body,
    )
    frame = len(body).to_bytes(3) + b"\0\1" + (1).to_bytes(4) + body
    grpc = (len(body) + 5).to_bytes(3) + b"\0\1" + (1).to_bytes(4) + b"\0" + len(body).to_bytes(4) + body
    settings = bytes.fromhex("000000040000000000")

    assert READERS[Protocol.HTTP1](sized + sized) == [message, message]
    assert READERS[Protocol.HTTP1](chunked) == [message]
    assert READERS[Protocol.HTTP2](b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + frame) == [message]
    assert READERS[Protocol.HTTP2](grpc) == [message]
