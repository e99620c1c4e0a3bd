# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.model.identity import ConnectionContext, ConnectionId, Direction, Role
from otel_qtap.model.stream import BytesReceived, ConnectionEnded
from otel_qtap.protocols.dispatch import MAX_SEARCHED_BYTES, MAX_UNDECIDED_BYTES, Dispatcher
from otel_qtap.protocols.http1 import HttpOptions
from otel_qtap.protocols.registry import new_protocols
from tests.support.http1_wire import CONNECTION, End, Lost, Player, Shut, bytewise, client, server

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MIDSTREAM = ConnectionContext(id=CONNECTION)


def test_what_came_before_the_decision_is_replayed():
    player = Player()
    assert player.play([client(GET[:3])]) == []
    assert player.dispatcher.statistics().conversations == 0
    (exchange,) = player.play([client(GET[3:]), server(OK)])
    assert exchange.start_ns == 1090
    assert player.dispatcher.statistics().exchanges == {"http": 1}


def test_what_nobody_claims_is_counted_and_not_kept():
    player = Player()
    for _ in range(100):
        player.play([client(b"\x00" * 1000), server(b"\x01" * 1000)])
    statistics = player.dispatcher.statistics()
    assert (statistics.opaque_bytes, statistics.opaque_connections, statistics.conversations) == (
        200_000,
        1,
        0,
    )
    assert player.dispatcher._connections[CONNECTION].undecided is None


def test_a_side_that_talks_alone_is_bounded():
    player = Player()
    for _ in range(100):
        player.play([client(b"\x00" * 1000)])
    undecided = player.dispatcher._connections[CONNECTION].undecided
    assert undecided is not None
    assert undecided.bytes_kept <= MAX_UNDECIDED_BYTES
    player.play([End()])
    assert player.dispatcher.statistics().opaque_bytes == 100_000


def test_a_server_that_answers_garbage_makes_it_a_conversation():
    player = Player()
    (exchange,) = player.play(
        [client(b"\x16\x03\x01garbage"), server(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"), End()]
    )
    assert exchange.attributes["http.response.status_code"] == 400


@pytest.mark.parametrize("step", [Lost(by_client=True, length=9), Shut(by_client=False)])
def test_what_happens_before_the_decision_does_not_prevent_it(step):
    player = Player()
    player.play([step, client(b"...")] if isinstance(step, Lost) else [step])
    (exchange,) = player.play([client(GET), End()])
    assert exchange.name == "GET"


def test_midstream_search_is_bounded_in_what_it_keeps():
    player = Player(context=MIDSTREAM)
    player.play([server(b"x" * 16_000)] * 100)
    undecided = player.dispatcher._connections[CONNECTION].undecided
    assert undecided is not None
    assert undecided.bytes_kept <= MAX_UNDECIDED_BYTES
    assert len(undecided.heads[1]) <= MAX_UNDECIDED_BYTES
    (exchange,) = player.play([client(GET), server(OK)])
    assert exchange.incomplete == ()


def test_midstream_search_ends():
    player = Player(context=MIDSTREAM)
    chunk = b"x" * (1 << 20)
    for _ in range(MAX_SEARCHED_BYTES // len(chunk) + 1):
        player.play([server(chunk)])
    assert player.dispatcher.statistics().opaque_connections == 1


@pytest.mark.parametrize(("role", "found"), [(Role.UNKNOWN, 1), (Role.CLIENT, 0), (Role.SERVER, 1)])
def test_a_quoted_message_does_not_turn_known_roles_round(role: Role, found: int):
    player = Player(context=ConnectionContext(id=CONNECTION, role=role))
    player.play([client(b'..."log": "HTTP/1.1 200 OK"...')])
    assert player.dispatcher.statistics().conversations == found


def test_connections_are_told_apart():
    player = Player()
    other = ConnectionId(100, 5, 0xABC, 1)
    player.play([client(GET[:5])])
    assert player.dispatcher.receive(BytesReceived(other, 0, 0, b"\x00" * 50, 1, 2)) == []  # type: ignore[arg-type]
    (exchange,) = player.play([client(GET[5:]), server(OK)])
    assert exchange.connection.id == CONNECTION


@pytest.mark.parametrize(("reason", "kept"), [("ssl_free", False), ("process_exit", False), ("idle", True)])
def test_what_is_known_of_a_connection_outlives_only_its_silence(reason: str, kept: bool):
    player = Player()
    player.play([client(GET), server(OK), End(reason)])
    assert player.dispatcher.statistics().connections == int(kept)
    (exchange,) = player.play([client(GET), server(OK)])
    assert (exchange.connection.remote is not None) == kept
    assert exchange.incomplete == ()


def test_an_end_of_an_unknown_connection_is_nothing():
    dispatcher = Dispatcher(new_protocols(HttpOptions()))
    assert dispatcher.receive(ConnectionEnded(CONNECTION, 1, "ssl_free")) == []
    assert dispatcher.statistics().connections == 0


def test_the_number_of_connections_is_bounded():
    dispatcher = Dispatcher(new_protocols(HttpOptions()), max_connections=10)
    request = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"
    for handle in range(30):
        connection = ConnectionId(1, 1, handle, 0)
        dispatcher.observe(ConnectionContext(id=connection, handshake_seen=True))
        dispatcher.receive(BytesReceived(connection, 0, 0, request, 1, 2))  # type: ignore[arg-type]
    statistics = dispatcher.statistics()
    assert (statistics.connections, statistics.conversations, statistics.forgotten_connections) == (
        10,
        10,
        20,
    )
    assert statistics.buffered_body_bytes == 30


def test_detection_byte_by_byte():
    player = Player()
    exchanges = player.play([client(b"\r\n" + GET), server(OK)], bytewise)
    assert len(exchanges) == 1


def test_a_connection_that_counts_from_its_handshake_begins_a_message_at_0():
    dispatcher = Dispatcher(new_protocols(HttpOptions()))
    dispatcher.observe(ConnectionContext(id=CONNECTION, from_handshake=True))
    dispatcher.receive(BytesReceived(CONNECTION, Direction.EGRESS, 0, b"\0" + GET, 1, 2))
    assert dispatcher.statistics().conversations == 0, "it is not searched for a message in the middle"
