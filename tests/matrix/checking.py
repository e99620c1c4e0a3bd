# SPDX-License-Identifier: Apache-2.0
"""Whether what was captured of a row's processes is what they carried: each byte, at the right addresses."""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from otel_qtap.model.events import ConnectionObserved
from otel_qtap.model.identity import ConnectionId, Direction, Role
from tests.matrix.capture import Piece, streams_of
from tests.matrix.messages import Message
from tests.matrix.protocols import READERS, Protocol

Ports = tuple[int, int]


@dataclass(slots=True)
class Side:
    """What was captured at one end of all connections of a row."""

    bindings: Counter[str] = field(default_factory=Counter)
    """Events by what is known of their socket: right, wrong, unbound."""
    sources: set[str] = field(default_factory=set)
    """What bound them."""
    messages: dict[Direction, Counter[tuple[int, int]]] = field(default_factory=lambda: defaultdict(Counter))
    """Token and sequence of each message."""
    streams: dict[Ports, dict[Direction, bytes]] = field(default_factory=dict)
    """By the ports, own first, that the messages themselves name."""
    roles: Counter[Role] = field(default_factory=Counter)
    """Of connections."""


def look_at(pieces: Collection[Piece], protocol: Protocol) -> Side:
    """Read all streams of one end; raises AssertionError where one is not messages of one connection."""
    side = Side()
    streams: dict[ConnectionId, dict[Direction, bytes]] = defaultdict(dict)
    for (connection, direction), stream in streams_of(pieces).items():
        streams[connection][direction] = stream
    truth: dict[ConnectionId, Ports] = {}
    for connection, both in streams.items():
        named: set[Ports] = set()
        for direction, stream in both.items():
            found = READERS[protocol](stream)
            side.messages[direction].update((message.token, message.sequence) for message in found)
            named |= {_ports(message, direction) for message in found if message.local}
        assert len(named) == 1, f"one connection holds what belongs to {named or 'none'}"
        (truth[connection],) = named
        assert truth[connection] not in side.streams, "two connections hold what belongs to one"
        side.streams[truth[connection]] = both
    last: dict[ConnectionId, ConnectionObserved] = {}
    for piece in pieces:
        connection = piece.event.connection
        side.bindings[_verdict(piece.facts, truth[connection])] += 1
        side.sources.add(piece.facts.peer_source.value)
        last[connection] = piece.facts
    side.roles.update(facts.role for facts in last.values())
    return side


def _ports(message: Message, direction: Direction) -> Ports:
    sent = message.local, message.remote
    return sent if direction is Direction.EGRESS else sent[::-1]


def _verdict(facts: ConnectionObserved, truth: Ports) -> str:
    if facts.local is None or facts.remote is None:
        return "unbound"
    return "right" if (facts.local.port, facts.remote.port) == truth else "wrong"


def compare(client: Side, server: Side, protocol: Protocol) -> None:
    """Whether both ends carried the same; raises AssertionError."""
    assert {ports[::-1] for ports in server.streams} == set(client.streams)
    for ports, near in client.streams.items():
        far = server.streams[ports[::-1]]
        for direction, other in (
            (Direction.EGRESS, Direction.INGRESS),
            (Direction.INGRESS, Direction.EGRESS),
        ):
            one, two = near[direction], far[other]
            if protocol is Protocol.HTTP2:  # whoever leaves first does not read the farewell
                shorter = min(len(one), len(two))
                one, two = one[:shorter], two[:shorter]
            assert one == two, f"the ends of {ports} carried different bytes"


def require_all(side: Side, connections: int, rounds: int) -> None:
    """Whether every message was there, each once, both ways; raises AssertionError."""
    wanted = Counter((token, sequence) for token in range(connections) for sequence in range(rounds))
    for direction in Direction:
        missing, surplus = wanted - side.messages[direction], side.messages[direction] - wanted
        assert not missing, f"{len(missing)} of {wanted.total()} messages are missing, {direction.name}"
        assert not surplus, f"{len(surplus)} messages too many, {direction.name}"
