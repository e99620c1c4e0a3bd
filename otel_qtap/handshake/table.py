# SPDX-License-Identifier: Apache-2.0
"""Handshakes that were seen lately, for the connections that they belong to.

A hello comes before its connection is announced, and goes through sockets of processes that are not
captured as well. So its bytes are kept for a while, within bounds, and only read when a connection
claims them. A connection belongs to a handshake when the client's random is the same, and either the
process is (a proxy that passes a hello on unread has both roles) or both addresses are (a child that
was forked after the handshake). Where the random is not known, process and addresses must be the same.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from otel_qtap.handshake.facts import Opening, handshake_facts, read_opening
from otel_qtap.handshake.sizes import size_of
from otel_qtap.model.events import ConnectionObserved, HandshakeCaptured
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import ConnectionId, Direction, Endpoint, ProcessId, Role

_MOST_PIECES: Final = 12
_MOST_BYTES: Final = 32 * 1024
_MOST_CLAIMS: Final = 8
_MOST_OF_RANDOM: Final = 8
_MOST_READINGS: Final = 32
"""How often it is read anew for what comes late: a hello may come a byte at a time."""
_OVERHEAD_BYTES: Final = 1024
"""What a handshake takes beside its bytes and facts, about."""

_Place = tuple[ProcessId, Endpoint | None, Endpoint | None]


@dataclass(slots=True, eq=False)
class _Handshake:
    first: HandshakeCaptured
    from_client: list[bytes] = field(default_factory=list)
    from_server: list[bytes] = field(default_factory=list)
    data_bytes: int = 0
    facts_bytes: int = 0
    connections: list[ConnectionId] = field(default_factory=list)
    last_ns: int = 0
    _opening: Opening | None = None
    _facts: HandshakeFacts | None = None
    _is_current: bool = False
    _readings: int = 0

    @property
    def size(self) -> int:
        return _OVERHEAD_BYTES + self.data_bytes + self.facts_bytes

    @property
    def place(self) -> _Place:
        return self.first.process, self.first.local, self.first.remote

    def add(self, event: HandshakeCaptured) -> None:
        by_client = (event.direction is Direction.EGRESS) is (event.role is Role.CLIENT)
        pieces = self.from_client if by_client else self.from_server
        if not event.position:
            pieces.append(event.data)
        elif pieces and len(pieces[-1]) == event.position:
            pieces[-1] += event.data
        else:  # what it goes on with is not there, or was cut off
            return
        self.data_bytes += len(event.data)
        self.last_ns = event.timestamp_ns
        self._is_current = False

    def facts(self) -> HandshakeFacts:
        if self._facts is None or (not self._is_current and self._readings < _MOST_READINGS):
            if self._opening is None or not self._opening.settled:
                self._opening = read_opening(self.from_client)
            self._facts = handshake_facts(
                self.from_client, self.from_server, timestamp_ns=self.last_ns, opening=self._opening
            )
            self.facts_bytes = size_of(self._facts)
            self._is_current = True
            self._readings += 1
        return self._facts


class Renewal(NamedTuple):
    """More is known of a handshake that connections have claimed."""

    connections: tuple[ConnectionId, ...]
    facts: HandshakeFacts


class HandshakeTable:
    """Takes what went through sockets, and tells connections the facts of their handshakes.

    max_bytes: About what all of it may take; the oldest goes first.
    max_age_ns: How long a handshake is kept.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 4 * 1024 * 1024,
        max_age_ns: int = 30_000_000_000,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_age_ns = max_age_ns
        self._bytes = 0
        # In the order in which they began.
        self._handshakes: OrderedDict[int, _Handshake] = OrderedDict()
        self._by_place: dict[_Place, _Handshake] = {}
        self._by_random: dict[bytes, list[_Handshake]] = {}

    def receive(self, event: HandshakeCaptured) -> Renewal | None:
        """Take a piece of a handshake; returns what it adds to connections that are known already."""
        handshake = self._by_place.get((event.process, event.local, event.remote))
        if handshake is None or not _continues(handshake.first, event):
            handshake = self._begin(event)
        pieces = len(handshake.from_client) + len(handshake.from_server)
        if pieces >= _MOST_PIECES or handshake.data_bytes > _MOST_BYTES:
            return None
        self._bytes -= handshake.size
        handshake.add(event)
        renewal = Renewal(tuple(handshake.connections), handshake.facts()) if handshake.connections else None
        self._bytes += handshake.size
        self._make_room()
        return renewal

    def claim(self, observed: ConnectionObserved) -> HandshakeFacts | None:
        """The facts of a connection's handshake, as far as it was seen."""
        handshake = next(self._candidates(observed), None)
        if handshake is None:
            return None
        if observed.connection not in handshake.connections:
            if len(handshake.connections) >= _MOST_CLAIMS:
                del handshake.connections[0]
            handshake.connections.append(observed.connection)
        self._bytes -= handshake.size
        facts = handshake.facts()
        self._bytes += handshake.size
        self._make_room()
        return facts

    def tick(self, now_ns: int) -> None:
        """Forget what is old."""
        while self._handshakes:
            oldest = next(iter(self._handshakes.values()))
            if oldest.first.timestamp_ns + self._max_age_ns > now_ns:
                break
            self._forget(oldest)

    def __len__(self) -> int:
        return len(self._handshakes)

    def _begin(self, event: HandshakeCaptured) -> _Handshake:
        handshake = _Handshake(replace(event, data=b""))  # its bytes are kept, and counted, as a piece
        self._handshakes[id(handshake)] = handshake
        self._by_place[handshake.place] = handshake
        self._bytes += handshake.size
        if event.client_random:
            of_random = self._by_random.setdefault(event.client_random, [])
            of_random.append(handshake)
            del of_random[:-_MOST_OF_RANDOM]
        return handshake

    def _make_room(self) -> None:
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._handshakes.values())))

    def _candidates(self, observed: ConnectionObserved) -> Iterator[_Handshake]:
        """What may belong to a connection, the likeliest first."""
        process = observed.connection.process
        at_place = self._by_place.get((process, observed.local, observed.remote))
        of_random = self._by_random.get(observed.client_random, []) if observed.client_random else []
        for handshake in reversed(of_random):
            if handshake.first.process == process and _may_be(handshake.first, observed):
                yield handshake
        for handshake in reversed(of_random):
            first = handshake.first
            same_place = (first.local, first.remote) == (observed.local, observed.remote)
            if same_place and observed.remote and _may_be(first, observed):
                yield handshake
        if at_place and observed.remote and _may_be(at_place.first, observed):
            yield at_place

    def _forget(self, handshake: _Handshake) -> None:
        del self._handshakes[id(handshake)]
        self._bytes -= handshake.size
        if self._by_place.get(handshake.place) is handshake:
            del self._by_place[handshake.place]
        if random := handshake.first.client_random:
            of_random = self._by_random.get(random, [])
            if handshake in of_random:
                of_random.remove(handshake)
            if not of_random:
                self._by_random.pop(random, None)


def _continues(first: HandshakeCaptured, event: HandshakeCaptured) -> bool:
    """Whether a piece that went through the same addresses is of the same handshake."""
    return first.client_random == event.client_random and first.role is event.role


def _may_be(first: HandshakeCaptured, observed: ConnectionObserved) -> bool:
    """Whether nothing says that a connection had another handshake."""
    return (observed.role is Role.UNKNOWN or first.role is observed.role) and (
        not first.client_random or not observed.client_random or first.client_random == observed.client_random
    )
