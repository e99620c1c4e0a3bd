# SPDX-License-Identifier: Apache-2.0
"""What one exchange costs from kernel event to Exchange, and that large bodies are linear in time."""

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from otel_qtap.model.events import DataCaptured
from otel_qtap.model.identity import ConnectionContext, ConnectionId, Direction, Endpoint, Role
from otel_qtap.protocols.dispatch import Dispatcher
from otel_qtap.protocols.http1 import HttpOptions
from otel_qtap.protocols.registry import new_protocols
from otel_qtap.reassembly import ConnectionTracker

pytestmark = pytest.mark.bench

CONNECTION = ConnectionId(100, 5, 0xABC, 0)
BODY = b"x" * 1024
REQUEST = (
    b"POST /v1/orders/17?user=abc HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: client/2.32\r\n"
    b"Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    b"Content-Type: application/json\r\nContent-Length: 1024\r\n"
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    b"Authorization: Bearer abcdefghijklmnopqrstuvwxyz\r\nX-Request-Id: 123456789\r\n\r\n" + BODY
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 24 Nov 2025 10:00:00 GMT\r\n"
    b"Content-Type: application/json; charset=utf-8\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n"
    b'Cache-Control: no-store\r\nETag: "abcdef"\r\nVary: Accept-Encoding\r\nX-Request-Id: 123456789\r\n'
    b"Strict-Transport-Security: max-age=63072000\r\n\r\n" + BODY
)


class Rooms:
    """Tracker and dispatcher, as the chain joins them."""

    def __init__(self, *, max_body_bytes: int) -> None:
        self.tracker = ConnectionTracker()
        self.dispatcher = Dispatcher(new_protocols(HttpOptions()), max_body_bytes=max_body_bytes)
        self.dispatcher.observe(
            ConnectionContext(
                id=CONNECTION,
                role=Role.CLIENT,
                local=Endpoint("10.0.0.1", 40000),
                remote=Endpoint("10.0.0.2", 443),
                handshake_seen=True,
            )
        )

    def receive(self, events: list[DataCaptured]) -> int:
        exchanges = 0
        for event in events:
            for stream_event in self.tracker.receive(event):
                exchanges += len(self.dispatcher.receive(stream_event))
        return exchanges


def exchanges_of(request: bytes, response: bytes) -> Iterator[list[DataCaptured]]:
    number = 0
    while True:
        at = number * 100
        yield [
            DataCaptured(
                CONNECTION, Direction.EGRESS, number * len(request), len(request), request, at, at + 1
            ),
            DataCaptured(
                CONNECTION, Direction.INGRESS, number * len(response), len(response), response, at + 2, at + 3
            ),
        ]
        number += 1


@pytest.mark.parametrize("max_body_bytes", [0, 1 << 20], ids=["metadata", "payload"])
def test_keep_alive_exchange(benchmark: BenchmarkFixture, max_body_bytes: int):
    rooms = Rooms(max_body_bytes=max_body_bytes)
    events = exchanges_of(REQUEST, RESPONSE)
    made = benchmark.pedantic(
        rooms.receive, setup=lambda: ((next(events),), {}), rounds=20_000, warmup_rounds=1000
    )
    assert made == 1


@pytest.mark.parametrize("mebibytes", [1, 20])
def test_large_body(benchmark: BenchmarkFixture, mebibytes: int):
    size = mebibytes << 20
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    stream = head + b"x" * size
    request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    events = [DataCaptured(CONNECTION, Direction.EGRESS, 0, len(request), request, 1, 2)]
    for position in range(0, len(stream), 16_384):
        chunk = stream[position : position + 16_384]
        events.append(DataCaptured(CONNECTION, Direction.INGRESS, position, len(chunk), chunk, 3, 4))
    made = benchmark.pedantic(lambda: Rooms(max_body_bytes=size).receive(events), rounds=5, warmup_rounds=1)
    assert made == 1
