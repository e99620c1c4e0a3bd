# SPDX-License-Identifier: Apache-2.0
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from otel_qtap.handshake.client_hello import ClientHello, read_client_hello
from otel_qtap.handshake.facts import handshake_facts
from otel_qtap.handshake.table import HandshakeTable
from otel_qtap.model.events import ConnectionObserved, HandshakeCaptured
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import ConnectionId, Direction, Endpoint, PeerSource, Role
from tests.support.tls_wire import client_hello, message, record, server_hello, server_name

SECOND = 1_000_000_000
RANDOM = bytes(range(8, 24))
HERE, THERE = Endpoint("10.0.0.7", 40000), Endpoint("10.0.0.1", 443)
CONNECTION = ConnectionId(7, 1, 0xAB00, 1)


def hello(name: bytes = b"shop.example") -> bytes:
    return record(message(1, client_hello([server_name(name)])))


HELLO = HandshakeCaptured(
    process=CONNECTION.process,
    timestamp_ns=5 * SECOND,
    role=Role.CLIENT,
    local=HERE,
    remote=THERE,
    client_random=RANDOM,
    direction=Direction.EGRESS,
    data=hello(),
    command="curl",
    user_id=1000,
)
ANSWER = replace(
    HELLO,
    timestamp_ns=HELLO.timestamp_ns + 1000,
    direction=Direction.INGRESS,
    data=record(message(2, server_hello([]))),
)
OBSERVED = ConnectionObserved(
    CONNECTION, 6 * SECOND, Role.CLIENT, HERE, THERE, PeerSource.NESTED_SYSCALL, True, "curl", 1000,
    client_random=RANDOM,
)  # fmt: skip


def name_of(table: HandshakeTable, observed: ConnectionObserved) -> str:
    facts = table.claim(observed)
    return facts.server_name if facts else ""


@pytest.fixture
def table() -> HandshakeTable:
    return HandshakeTable()


def test_a_connection_claims_its_handshake(table: HandshakeTable) -> None:
    assert table.receive(HELLO) is None
    assert table.receive(ANSWER) is None
    facts = table.claim(OBSERVED)
    assert facts
    assert (facts.server_name, facts.version, facts.timestamp_ns) == (
        "shop.example", "1.2", ANSWER.timestamp_ns,
    )  # fmt: skip
    assert table.claim(OBSERVED) is facts


def test_what_comes_later_is_told_to_who_claimed(table: HandshakeTable) -> None:
    table.receive(HELLO)
    assert table.claim(OBSERVED)
    renewal = table.receive(ANSWER)
    assert renewal
    assert renewal.connections == (CONNECTION,)
    assert (renewal.facts.server_name, renewal.facts.version) == ("shop.example", "1.2")


@pytest.mark.parametrize(
    "observed",
    [
        replace(OBSERVED, client_random=bytes(16)),
        replace(OBSERVED, role=Role.SERVER),
        replace(OBSERVED, connection=ConnectionId(8, 1, 1, 1), local=None),
        replace(OBSERVED, client_random=b"", remote=Endpoint("10.0.0.1", 444)),
        replace(OBSERVED, client_random=b"", local=None, remote=None),
        replace(OBSERVED, client_random=b"", connection=ConnectionId(7, 2, 1, 1)),
    ],
)
def test_another_connection_does_not(table: HandshakeTable, observed: ConnectionObserved) -> None:
    table.receive(HELLO)
    assert table.claim(observed) is None


@pytest.mark.parametrize(
    "observed",
    [
        replace(OBSERVED, local=None, remote=None),
        replace(OBSERVED, client_random=b""),
        replace(OBSERVED, role=Role.UNKNOWN),
        replace(OBSERVED, connection=ConnectionId(8, 3, 0xAB00, 1)),
    ],
)
def test_random_or_addresses_do_and_a_forked_child_s_too(
    table: HandshakeTable, observed: ConnectionObserved
) -> None:
    table.receive(HELLO)
    assert name_of(table, observed) == "shop.example"


def test_both_ends_in_one_process_are_told_apart(table: HandshakeTable) -> None:
    table.receive(HELLO)
    far = replace(
        HELLO, role=Role.SERVER, local=THERE, remote=HERE, direction=Direction.INGRESS, data=hello(b"b")
    )
    table.receive(far)
    assert name_of(table, OBSERVED) == "shop.example"
    assert name_of(table, replace(OBSERVED, role=Role.SERVER, local=THERE, remote=HERE)) == "b"
    assert name_of(table, replace(OBSERVED, role=Role.SERVER, local=None, remote=None)) == "b"


def test_addresses_that_are_used_again_begin_anew(table: HandshakeTable) -> None:
    table.receive(HELLO)
    assert table.claim(OBSERVED)
    second = replace(HELLO, client_random=b"n" * 16, data=hello(b"new.example"))
    assert table.receive(second) is None
    assert name_of(table, replace(OBSERVED, client_random=b"")) == "new.example"
    assert name_of(table, OBSERVED) == "shop.example"


def test_where_only_sends_are_seen_a_server_s_answer_is_found_by_its_addresses(table: HandshakeTable) -> None:
    answer = replace(ANSWER, role=Role.SERVER, direction=Direction.EGRESS, client_random=b"")
    table.receive(answer)
    facts = table.claim(replace(OBSERVED, role=Role.SERVER))
    assert facts
    assert facts.version == "1.2"


def test_what_is_old_is_forgotten(table: HandshakeTable) -> None:
    table.receive(HELLO)
    table.tick(HELLO.timestamp_ns + 29 * SECOND)
    assert len(table) == 1
    table.tick(HELLO.timestamp_ns + 30 * SECOND)
    assert len(table) == 0
    assert table.claim(OBSERVED) is None


def test_what_is_kept_is_bounded() -> None:
    table = HandshakeTable(max_bytes=100_000)
    for number in range(10_000):
        table.receive(
            replace(
                HELLO,
                remote=Endpoint("10.0.0.1", number),
                client_random=number.to_bytes(16),
                data=bytes(4096),
            )
        )
    assert 10 < len(table) < 30
    assert table.claim(replace(OBSERVED, client_random=bytes(16))) is None
    assert table.claim(
        replace(OBSERVED, remote=Endpoint("10.0.0.1", 9999), client_random=(9999).to_bytes(16))
    )


def test_pieces_of_one_flight_are_put_together(table: HandshakeTable) -> None:
    data = hello()
    for begin, end in ((0, 20), (20, 50), (50, len(data))):
        table.receive(replace(HELLO, data=data[begin:end], position=begin))
    assert name_of(table, OBSERVED) == "shop.example"


def test_what_goes_on_with_something_that_was_cut_off_is_left_out(table: HandshakeTable) -> None:
    data = hello()
    table.receive(replace(HELLO, data=data[20:], position=20))
    table.receive(replace(HELLO, data=data[:20]))
    table.receive(replace(HELLO, data=data[30:], position=30))
    facts = table.claim(OBSERVED)
    assert facts
    assert (facts.server_name, facts.client_ja3) == ("", "")


def test_a_flight_that_never_ends_is_bounded() -> None:
    table = HandshakeTable(max_bytes=1 << 20)
    for number in range(1000):
        table.receive(replace(HELLO, data=bytes(4096), position=4096 * number))
    size = sum(len(piece) for handshake in table._handshakes.values() for piece in handshake.from_client)
    assert 4096 < size <= 64 * 1024


def test_one_handshake_has_few_pieces_and_one_random_few_handshakes(table: HandshakeTable) -> None:
    for _ in range(1000):
        table.receive(HELLO)
    assert name_of(table, OBSERVED) == "shop.example"
    for number in range(1000):
        table.receive(replace(HELLO, remote=Endpoint("10.0.0.1", number)))
    assert name_of(table, OBSERVED) == "shop.example"
    table.tick(HELLO.timestamp_ns + 40 * SECOND)
    assert len(table) == 0


def large_hello() -> bytes:
    return record(message(1, client_hello([server_name(b"shop.example")], ciphers=range(0x6000, 0x6400))))


def test_what_facts_take_counts_in_what_is_kept() -> None:
    claimed, unclaimed = HandshakeTable(max_bytes=200_000), HandshakeTable(max_bytes=200_000)
    for number in range(200):
        at, random = Endpoint("10.0.0.1", number), number.to_bytes(16)
        for table in (claimed, unclaimed):
            table.receive(replace(HELLO, remote=at, client_random=random, data=large_hello()))
        assert claimed.claim(replace(OBSERVED, remote=at, client_random=random))
    assert len(claimed) < len(unclaimed) / 2


def test_pieces_that_go_on_with_nothing_leave_nothing(table: HandshakeTable) -> None:
    tracemalloc.start()
    try:
        for number in range(200):
            at, random = Endpoint("10.0.0.1", number), number.to_bytes(16)
            table.receive(
                replace(HELLO, remote=at, client_random=random, data=bytes([number]) * 4000, position=9)
            )
        assert len(table) == 200
        assert tracemalloc.get_traced_memory()[0] < 200 * 2000
    finally:
        tracemalloc.stop()


def test_a_hello_that_comes_a_byte_at_a_time_is_read_anew_a_few_times(
    table: HandshakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = 0

    def counted(*arguments: Any, **more: Any) -> HandshakeFacts:
        nonlocal readings
        readings += 1
        return handshake_facts(*arguments, **more)

    monkeypatch.setattr("otel_qtap.handshake.table.handshake_facts", counted)
    data = large_hello()
    table.receive(replace(HELLO, data=data[:100]))
    assert table.claim(OBSERVED)
    for at in range(100, len(data)):
        table.receive(replace(HELLO, data=data[at : at + 1], position=at))
    assert readings <= 32


def test_a_client_s_hello_is_read_once_for_all_that_comes_after(
    table: HandshakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = 0

    def counted(*arguments: Any, **more: Any) -> ClientHello:
        nonlocal readings
        readings += 1
        return read_client_hello(*arguments, **more)

    monkeypatch.setattr("otel_qtap.handshake.facts.read_client_hello", counted)
    table.receive(replace(HELLO, data=large_hello()))
    assert table.claim(OBSERVED)
    for _ in range(5):
        assert table.receive(ANSWER)
    facts = table.claim(OBSERVED)
    assert facts
    assert (facts.server_name, facts.version, facts.ciphers_omitted) == ("shop.example", "1.2", 0x400 - 128)
    assert readings == 1
