# SPDX-License-Identifier: Apache-2.0
"""What of a reader is not seen from its conversation."""

import sys

from otel_qtap.model.stream import BytesReceived
from otel_qtap.protocols.base import ByteBudget, ProtocolCounters
from otel_qtap.protocols.http1.framing import Framing, request_framing
from otel_qtap.protocols.http1.message import Message
from otel_qtap.protocols.http1.reader import MessageReader
from tests.support.http1_wire import CONNECTION


class Listener:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    def head_read(self, message: Message) -> Framing:
        return request_framing(message)

    def message_read(self, message: Message) -> None:
        self.messages.append(message)


def new_reader(listener: Listener) -> MessageReader:
    return MessageReader(
        listener,
        requests=True,
        start=0,
        max_body_bytes=1000,
        budget=ByteBudget(10_000),
        counters=ProtocolCounters(),
    )


def received(position: int, data: bytes, at: int = 0) -> BytesReceived:
    return BytesReceived(CONNECTION, 0, position, data, at, at + 1)  # type: ignore[arg-type]


def test_a_message_starts_when_the_event_with_its_first_byte_did():
    listener = Listener()
    reader = new_reader(listener)
    request = b"GET / HTTP/1.1\r\n\r\n"
    reader.receive(received(0, request + b"GE", at=10))
    reader.receive(received(20, b"T / HTTP/1.1\r\n\r\n" + request, at=20))
    assert [(m.offset, m.start_ns, m.end_ns) for m in listener.messages] == [
        (0, 10, 11),
        (18, 10, 21),
        (36, 20, 21),
    ]


def test_an_unannounced_jump_is_a_gap():
    listener = Listener()
    reader = new_reader(listener)
    reader.receive(received(0, b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"))
    reader.receive(received(45, b"hi"))
    (message,) = listener.messages
    assert (message.body, message.size, message.truncated) == (b"abc", 9, "gap")


def test_parked_bytes_keep_their_place():
    listener = Listener()
    reader = new_reader(listener)
    reader.park()
    reader.receive(received(0, b"GET / HTTP/1.1\r\n", at=5))
    reader.receive(received(16, b"\r\n", at=9))
    assert listener.messages == []
    reader.resume()
    (message,) = listener.messages
    assert (message.offset, message.start_ns) == (0, 5)
    assert reader.take_parked() == ([], 18)


def test_a_closed_reader_goes_without_the_collector():
    listener = Listener()
    reader = new_reader(listener)
    reader.receive(received(0, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"))
    reader.close()
    # The name, and the argument of getrefcount.
    assert sys.getrefcount(reader) == 2
