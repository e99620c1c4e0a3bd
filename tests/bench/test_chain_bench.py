# SPDX-License-Identifier: Apache-2.0
"""What an exchange of 1 KiB costs from the ring's bytes to the exporter's queue, without a kernel.

The rooms are the agent's own. ``alike``: requests and responses of a connection differ in their path,
as those of one client and one resource do. ``distinct``: each has trace context and ids of its own, so
that nothing which is remembered of heads and attributes applies to them.
"""

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.agent.assembly import Rooms
from otel_qtap.capture.decode import Decoder
from otel_qtap.model.identity import Direction, ProcessFacts
from tests.support.figures import Figures, assert_holds
from tests.support.kernel_records import KernelConnection
from tests.support.payloads import text_of_entropy
from tests.support.rooms import build_rooms

pytestmark = pytest.mark.bench

CONNECTIONS = 16
EXCHANGES_PER_READ = 100
READS = 60
ROUNDS = 5


@pytest.mark.parametrize("kind", ["alike", "distinct"])
@pytest.mark.parametrize(
    ("objects", "what", "limit"), [("none:", "metadata only", 45), ("", "payloads to a directory", 80)]
)
def test_chain(objects: str, what: str, limit: float, kind: str, tmp_path: Path, figures: Figures) -> None:
    best_decode = best_chain = float("inf")
    for round_ in range(ROUNDS):
        rooms = build_rooms(tmp_path / str(round_), objects=objects)
        rooms.archive.open()
        decode, chain = seconds(rooms, distinct=kind == "distinct")
        exchanges = rooms.chain.exchanges
        assert exchanges == EXCHANGES_PER_READ * READS
        best_decode = min(best_decode, decode / exchanges * 1e6)
        best_chain = min(best_chain, chain / exchanges * 1e6)
        rooms.archive.shutdown(0)
    name = f"from ring to queue, {what}, {kind}"
    figures.report(f"{name}: decoding", best_decode, "us")
    figures.report(f"{name}: chain", best_chain, "us")
    assert_holds(figures.report(name, best_decode + best_chain, "us", at_most=limit))


def seconds(rooms: Rooms, *, distinct: bool) -> tuple[float, float]:
    """CPU seconds of decoding and of the chain."""
    decoder = Decoder()
    decode = chain = 0.0
    rooms.chain.learn(
        ProcessFacts(process=KernelConnection(0).process, executable="/usr/sbin/nginx", service_name="web"),
        allowed=True,
    )
    gc.collect()
    gc.disable()
    try:
        for portion in reads(distinct=distinct):
            began = time.thread_time()
            for record in portion:
                decoder.decode(record, 0, len(record))
            events, decoder.events = decoder.events, []
            decoded = time.thread_time()
            rooms.chain.receive(events)
            decode += decoded - began
            chain += time.thread_time() - decoded
    finally:
        gc.enable()
    return decode, chain


def reads(*, distinct: bool) -> Iterator[list[memoryview]]:
    """What the pipeline gets from the ring, a read at a time."""
    connections = [KernelConnection(number) for number in range(CONNECTIONS)]
    bodies = [text_of_entropy(1024, str(number)) for number in range(16)]
    for number in range(READS):
        portion = []
        for at in range(EXCHANGES_PER_READ):
            unique = number * EXCHANGES_PER_READ + at
            connection = connections[at % CONNECTIONS]
            mark = b"%032x" % unique if distinct else b"0" * 32
            request = (
                b"GET /v1/orders/%d?expand=items HTTP/1.1\r\nHost: api.example.com\r\n"
                b"User-Agent: client/2.3\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n"
                b"X-Request-Id: %b\r\n" % (unique, mark)
            )
            if distinct:
                request += b"traceparent: 00-%032x-%016x-01\r\n" % (unique + 1, unique + 1)
            response = (
                b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\n"
                b"Content-Type: application/json; charset=utf-8\r\nContent-Length: 1024\r\n"
                b"Connection: keep-alive\r\nX-Request-Id: %b\r\n\r\n" % mark
            )
            portion.append(memoryview(connection.data(Direction.INGRESS, request + b"\r\n")))
            portion.append(memoryview(connection.data(Direction.EGRESS, response + bodies[at % 16])))
        yield portion
