# SPDX-License-Identifier: Apache-2.0
"""Which protocol a connection speaks, and when that changes.

Until one is known, what comes is kept (bounded) and each direction's first bytes are shown to the
protocols in order; the first that claims them gets everything replayed. Where a message is known to
begin (a handshake was seen, or a switch was agreed on) the protocols ``infer``; where the agent came
in the middle they ``search``. Bytes that nobody claims are counted and dropped.
"""

from collections import deque
from collections.abc import Sequence

from otel_qtap.model.exchange import Exchange
from otel_qtap.model.identity import ConnectionContext, ConnectionId, Direction, Role
from otel_qtap.model.stream import BytesReceived, ConnectionEnded, DirectionEnded, GapDetected, StreamEvent
from otel_qtap.protocols.base import (
    UNKNOWN_START,
    ByteBudget,
    Conversation,
    Opening,
    ProtocolCounters,
    ProtocolSpec,
    Verdict,
)
from otel_qtap.protocols.statistics import ProtocolStatistics

MAX_UNDECIDED_BYTES = 32_768
"""Kept per connection before a protocol is known; a start line has at most 8 KiB, and TLS records 16."""
MAX_SEARCHED_BYTES = 64 * 1024 * 1024
"""How far a connection is searched that was attached to mid-stream, before it counts as opaque."""
MAX_UNDECIDED_EVENTS = 1024
MAX_START_BYTES = 8192
"""What is kept of a direction while it is searched: as long as a start line may be."""

KEEPS_CONTEXT = frozenset({"idle", "evicted"})
"""After these ends the connection may speak again: what is known of it is kept."""


class _Undecided:
    """What came before a protocol was known."""

    __slots__ = ("bytes_kept", "bytes_seen", "events", "heads", "ruled_out", "starts")

    def __init__(self, starts: tuple[int, int]) -> None:
        self.starts = starts
        self.events: list[StreamEvent] = []
        self.heads = [b"", b""]
        self.ruled_out = [False, False]
        self.bytes_kept = 0
        self.bytes_seen = 0


class _Connection:
    """One connection: in one of three states, by which of its fields are set."""

    __slots__ = ("context", "conversation", "opaque", "undecided")

    def __init__(self, context: ConnectionContext) -> None:
        self.context = context
        self.conversation: Conversation | None = None
        self.undecided: _Undecided | None = None
        self.opaque = False


class Dispatcher:
    """Give each connection to the protocol that it speaks.

    protocols: In the order in which they are asked; see ``registry.new_protocols``.
    max_body_bytes: What is kept of one message's body; ``size`` goes on counting.
    max_buffered_bytes: What is kept of all bodies together that wait for the rest of their exchange.
    max_connections: The connection known for longest is dropped when this is passed. Above the
        tracker's bound, so that it never is while the tracker ends what it forgets.
    """

    def __init__(
        self,
        protocols: Sequence[ProtocolSpec],
        *,
        max_body_bytes: int = 1024 * 1024,
        max_buffered_bytes: int = 256 * 1024 * 1024,
        max_connections: int = 65_536,
    ) -> None:
        self._protocols = tuple(protocols)
        self._counters = {spec.name: ProtocolCounters() for spec in protocols}
        self._max_body_bytes = max_body_bytes
        self._budget = ByteBudget(max_buffered_bytes)
        self._max_connections = max_connections
        self._connections: dict[ConnectionId, _Connection] = {}
        self._conversations = 0
        self._opaque_bytes = 0
        self._opaque_connections = 0
        self._switches = 0
        self._forgotten = 0

    def observe(self, context: ConnectionContext) -> None:
        """A connection was seen for the first time, or more is known of it: later exchanges carry this."""
        connection = self._connections.get(context.id)
        if connection is None:
            self._open(context)
            return
        connection.context = context
        if connection.conversation is not None:
            connection.conversation.context = context

    def receive(self, event: StreamEvent) -> list[Exchange]:
        """Take the next event of a connection; return the exchanges that it completed."""
        connection = self._connections.get(event.connection)
        if connection is None:
            if type(event) is ConnectionEnded:
                return []
            connection = self._open(ConnectionContext(id=event.connection))
        conversation = connection.conversation
        if conversation is None:
            exchanges = self._run(connection, [event])
        else:
            exchanges = conversation.receive(event)
            if conversation.switched:
                exchanges += self._run(connection, self._switch(connection, conversation))
        if type(event) is ConnectionEnded:
            self._end(connection, event)
        return exchanges

    def statistics(self) -> ProtocolStatistics:
        """Return a snapshot of all counters."""
        counters = self._counters
        return ProtocolStatistics(
            connections=len(self._connections),
            conversations=self._conversations,
            buffered_body_bytes=self._budget.used,
            exchanges={name: each.exchanges for name, each in counters.items()},
            unpaired_responses={name: each.unpaired_responses for name, each in counters.items()},
            malformed_messages={name: each.malformed_messages for name, each in counters.items()},
            truncated_heads={name: each.truncated_heads for name, each in counters.items()},
            skipped_bytes={name: each.skipped_bytes for name, each in counters.items()},
            cut_body_bytes={name: each.cut_body_bytes for name, each in counters.items()},
            refused_body_bytes=self._budget.refused,
            opaque_bytes=self._opaque_bytes,
            opaque_connections=self._opaque_connections,
            protocol_switches=self._switches,
            forgotten_connections=self._forgotten,
        )

    def _open(self, context: ConnectionContext) -> _Connection:
        if len(self._connections) >= self._max_connections:
            self._forgotten += 1
            oldest = self._connections.pop(next(iter(self._connections)))
            if oldest.conversation is not None:
                # What it still says is lost with it, but it gives back what it holds.
                oldest.conversation.receive(ConnectionEnded(oldest.context.id, 0, "evicted"))
            self._drop(oldest)
        connection = self._connections[context.id] = _Connection(context)
        return connection

    def _end(self, connection: _Connection, event: ConnectionEnded) -> None:
        self._drop(connection)
        if event.reason not in KEEPS_CONTEXT:
            del self._connections[event.connection]

    def _drop(self, connection: _Connection) -> None:
        """Forget what was said on a connection, and keep only its context."""
        if connection.conversation is not None:
            connection.conversation = None
            self._conversations -= 1
        if connection.undecided is not None:
            self._opaque_bytes += connection.undecided.bytes_kept
            connection.undecided = None
        connection.opaque = False

    def _run(self, connection: _Connection, events: list[StreamEvent]) -> list[Exchange]:
        """Take events that may decide what the connection speaks, and what that makes of the earlier ones.

        A loop and no recursion: one event can hold as many switches as fit in it.
        """
        exchanges: list[Exchange] = []
        queue = deque(events)
        while queue:
            event = queue.popleft()
            conversation = connection.conversation
            if conversation is None:
                queue.extendleft(reversed(self._detect(connection, event)))
                continue
            exchanges += conversation.receive(event)
            if conversation.switched:
                queue.extendleft(reversed(self._switch(connection, conversation)))
        return exchanges

    def _switch(self, connection: _Connection, conversation: Conversation) -> list[StreamEvent]:
        """The peers go on in another protocol: return what the old one left."""
        self._switches += 1
        self._conversations -= 1
        handover = conversation.hand_over()
        connection.conversation = None
        connection.undecided = _Undecided(handover.starts)
        return handover.events

    def _detect(self, connection: _Connection, event: StreamEvent) -> list[StreamEvent]:
        """Take an event of a connection that speaks nothing known; return what is to be replayed."""
        undecided = connection.undecided
        if type(event) is BytesReceived:
            if connection.opaque:
                self._opaque_bytes += len(event.data)
                return []
            if undecided is None:
                context = connection.context
                start = 0 if context.handshake_seen or context.from_handshake else UNKNOWN_START
                undecided = connection.undecided = _Undecided((start, start))
            return self._decide(connection, undecided, event)
        if undecided is not None and isinstance(event, GapDetected | DirectionEnded):
            undecided.events.append(event)
            if isinstance(event, GapDetected):
                _lose_start(undecided, event.direction)
        return []

    def _decide(
        self, connection: _Connection, undecided: _Undecided, event: BytesReceived
    ) -> list[StreamEvent]:
        direction = event.direction
        head = undecided.heads[direction]
        start = undecided.starts[direction]
        if (
            start != UNKNOWN_START
            and start + len(head) != event.position
            and not undecided.ruled_out[direction]
        ):
            _lose_start(undecided, direction)
            head, start = b"", UNKNOWN_START
        undecided.events.append(event)
        undecided.bytes_kept += len(event.data)
        undecided.bytes_seen += len(event.data)
        if not undecided.ruled_out[direction]:
            head += event.data
            searching = start == UNKNOWN_START
            undecided.heads[direction] = head[-MAX_START_BYTES:] if searching else head
            ruled_out = True
            for spec in self._protocols:
                verdict = spec.search(head) if searching else spec.infer(head)
                if verdict is Verdict.REQUEST or verdict is Verdict.RESPONSE:
                    is_request = verdict is Verdict.REQUEST
                    request_direction = direction if is_request else Direction(1 - direction)
                    if not searching or _is_plausible(request_direction, connection.context.role):
                        self._claim(connection, undecided, spec, request_direction)
                        return undecided.events
                    ruled_out = False
                ruled_out = ruled_out and verdict is Verdict.NO
            undecided.ruled_out[direction] = ruled_out
        self._bound(connection, undecided)
        return []

    def _claim(
        self,
        connection: _Connection,
        undecided: _Undecided,
        spec: ProtocolSpec,
        request_direction: Direction,
    ) -> None:
        """Give the connection to ``spec``."""
        connection.undecided = None
        connection.conversation = spec.new_conversation(
            Opening(
                context=connection.context,
                request_direction=request_direction,
                starts=undecided.starts,
                max_body_bytes=self._max_body_bytes,
                budget=self._budget,
                counters=self._counters[spec.name],
            )
        )
        self._conversations += 1

    def _bound(self, connection: _Connection, undecided: _Undecided) -> None:
        """Keep what is undecided small; give up on a connection that nobody will claim."""
        if all(undecided.ruled_out) or undecided.bytes_seen > MAX_SEARCHED_BYTES:
            connection.opaque = True
            connection.undecided = None
            self._opaque_connections += 1
            self._opaque_bytes += undecided.bytes_kept
            return
        events = undecided.events
        while undecided.bytes_kept > MAX_UNDECIDED_BYTES or len(events) > MAX_UNDECIDED_EVENTS:
            oldest = events.pop(0)
            if isinstance(oldest, BytesReceived):
                undecided.bytes_kept -= len(oldest.data)
                self._opaque_bytes += len(oldest.data)
                if not undecided.ruled_out[oldest.direction]:
                    _lose_start(undecided, oldest.direction)


def _is_plausible(request_direction: Direction, role: Role) -> bool:
    """Whether the end of the TLS connection that this process is sends requests in this direction.

    A body may quote a message. Where that is all there is to go by, it must not turn the roles round.
    """
    if role is Role.UNKNOWN:
        return True
    return (request_direction is Direction.EGRESS) == (role is Role.CLIENT)


def _lose_start(undecided: _Undecided, direction: Direction) -> None:
    """What comes next in this direction need not be the start of a message."""
    starts = [*undecided.starts]
    if starts[direction] != UNKNOWN_START:
        starts[direction] = UNKNOWN_START
        undecided.starts = (starts[0], starts[1])
        undecided.heads[direction] = b""
    undecided.ruled_out[direction] = False
