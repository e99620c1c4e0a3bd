# SPDX-License-Identifier: Apache-2.0
"""Conversations written down as what each side said, and played to a dispatcher in any chunking."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from otel_qtap.model.exchange import Exchange
from otel_qtap.model.identity import ConnectionContext, ConnectionId, Direction, Endpoint
from otel_qtap.model.stream import BytesReceived, ConnectionEnded, DirectionEnded, GapDetected, StreamEvent
from otel_qtap.protocols.dispatch import Dispatcher
from otel_qtap.protocols.http1 import HttpOptions
from otel_qtap.protocols.registry import new_protocols

CONNECTION = ConnectionId(100, 5, 0xABC, 0)
CONTEXT = ConnectionContext(
    id=CONNECTION,
    local=Endpoint("10.0.0.1", 40000),
    remote=Endpoint("10.0.0.2", 443),
    handshake_seen=True,
)


@dataclass(frozen=True)
class Said:
    """Bytes of the client or of the server."""

    by_client: bool
    data: bytes


@dataclass(frozen=True)
class Lost:
    """Bytes that were not captured."""

    by_client: bool
    length: int


@dataclass(frozen=True)
class Shut:
    """A side will say no more."""

    by_client: bool


@dataclass(frozen=True)
class End:
    """The end of the connection, or of its observation."""

    reason: str = "ssl_free"


Step = Said | Lost | Shut | End


def client(data: bytes) -> Said:
    return Said(by_client=True, data=data)


def server(data: bytes) -> Said:
    return Said(by_client=False, data=data)


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@dataclass
class Player:
    """Plays steps of one connection to a dispatcher; every event is 10 ns long and 100 ns after the last."""

    context: ConnectionContext = CONTEXT
    client_direction: Direction = Direction.EGRESS
    options: HttpOptions = field(default_factory=HttpOptions)
    max_body_bytes: int = 1 << 20
    positions: tuple[int, int] = (0, 0)
    """Stream offsets at which client and server begin."""

    def __post_init__(self) -> None:
        self.dispatcher = Dispatcher(new_protocols(self.options), max_body_bytes=self.max_body_bytes)
        self.dispatcher.observe(self.context)
        self.now_ns = 1000
        server_direction = Direction(1 - self.client_direction)
        self._directions = {True: self.client_direction, False: server_direction}
        self._positions = {True: self.positions[0], False: self.positions[1]}

    def events(self, step: Step, chunks: Callable[[bytes], Iterable[bytes]] = whole) -> list[StreamEvent]:
        connection = self.context.id
        if isinstance(step, End):
            self.now_ns += 100
            return [ConnectionEnded(connection, self.now_ns, step.reason)]
        direction = self._directions[step.by_client]
        if isinstance(step, Shut):
            self.now_ns += 100
            return [DirectionEnded(connection, direction, self.now_ns)]
        pieces = [step.length] if isinstance(step, Lost) else list(chunks(step.data))
        result: list[StreamEvent] = []
        for piece in pieces:
            self.now_ns += 100
            position = self._positions[step.by_client]
            if isinstance(piece, int):
                result.append(GapDetected(connection, direction, position, piece, self.now_ns))
                self._positions[step.by_client] += piece
            else:
                result.append(
                    BytesReceived(connection, direction, position, piece, self.now_ns - 10, self.now_ns)
                )
                self._positions[step.by_client] += len(piece)
        return result

    def play(
        self, steps: Sequence[Step], chunks: Callable[[bytes], Iterable[bytes]] = whole
    ) -> list[Exchange]:
        return [
            exchange
            for step in steps
            for event in self.events(step, chunks)
            for exchange in self.dispatcher.receive(event)
        ]


def play(
    steps: Sequence[Step], chunks: Callable[[bytes], Iterable[bytes]] = whole, **player: object
) -> list[Exchange]:
    """Play one conversation to a new dispatcher."""
    return Player(**player).play(steps, chunks)  # type: ignore[arg-type]


def without_times(exchange: Exchange) -> Exchange:
    """The exchange with its times blanked, to compare what was read in different chunks."""
    exchange.start_ns = exchange.end_ns = 0
    return exchange
