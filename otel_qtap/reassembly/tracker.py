# SPDX-License-Identifier: Apache-2.0
"""Which connections there are, in what order their bytes go on, and when they end.

The fast path is the whole point: an event that stands where its direction is expected, on a
connection that waits for nothing, becomes one BytesReceived with the same bytes object.

Everything else is bounded: bytes held per connection and in all, the time a hole is waited for, the
number of connections, how long a silent one is kept. Each bound that is met is counted by its name.
"""

from collections import OrderedDict

from otel_qtap.model.events import (
    ConnectionClosed,
    ConnectionObserved,
    DataCaptured,
    DirectionClosed,
    HandshakeCompleted,
    KernelEvent,
    ProcessExited,
)
from otel_qtap.model.identity import ConnectionId, Direction
from otel_qtap.model.stream import BytesReceived, ConnectionEnded, DirectionEnded, StreamEvent
from otel_qtap.reassembly.statistics import ReassemblyStatistics
from otel_qtap.reassembly.stream_buffer import DIRECTIONS, StreamBuffer, StreamCounters

REMEMBERED_ENDS = 4096
"""How many ended connections are remembered, so that a late event does not bring one back to life."""


_FINAL_REASONS = frozenset({"ssl_free", "socket_closed", "replaced", "process_exit"})
"""After these, the same ConnectionId never speaks again; after the others, it may."""

_ENDED = 1 << 62
"""Expected position of a direction that has ended: nothing comes after it."""


class _Tracked:
    """One connection. ``waiting`` closes the fast path: something is held, or an end is pending."""

    __slots__ = ("buffer", "closed", "ends", "expected", "last_ns", "waiting", "waiting_since_ns")

    def __init__(self, buffer: StreamBuffer, now_ns: int) -> None:
        self.buffer = buffer
        self.expected = buffer.expected
        self.last_ns = now_ns
        self.waiting = False
        self.waiting_since_ns = 0
        # Announced totals per direction whose end is pending, -1 for none.
        self.ends = [-1, -1]
        self.closed: ConnectionClosed | None = None


class ConnectionTracker:
    """Put kernel events in order, per connection and direction.

    max_bytes_per_connection, max_bytes_total:
        Bytes that may be held behind a hole. When passed, the hole is given up (a gap); in all, the
        one that has been waited for longest.
    max_connections: The longest-idle connection is ended (``evicted``) when this is passed.
    idle_ns: A connection without an event for this long is ended (``idle``). Long enough by default
        for a long poll; the memory of a silent connection is a few hundred bytes.
    reorder_ns: How long a hole, or the last bytes of a closed connection, are waited for. Threads on
        several CPUs overtake each other by microseconds; what is later than this is lost.
    """

    def __init__(
        self,
        *,
        max_bytes_per_connection: int = 4 * 1024 * 1024,
        max_bytes_total: int = 32 * 1024 * 1024,
        max_connections: int = 16_384,
        idle_ns: int = 900_000_000_000,
        reorder_ns: int = 50_000_000,
    ) -> None:
        self._max_bytes_per_connection = max_bytes_per_connection
        self._max_bytes_total = max_bytes_total
        self._max_connections = max_connections
        self._idle_ns = idle_ns
        self._reorder_ns = reorder_ns
        # In order of last activity, the longest idle first.
        self._connections: OrderedDict[ConnectionId, _Tracked] = OrderedDict()
        self._by_process: dict[tuple[int, int], dict[ConnectionId, None]] = {}
        # The longest waiting first.
        self._waiting: dict[ConnectionId, _Tracked] = {}
        self._recently_ended: dict[ConnectionId, None] = {}
        self._held_bytes = 0
        # The latest time heard of. Waiting is measured against it and not against the waiting event's
        # own time, so that a backlog in the ring does not look like a hole that was waited for.
        self._now_ns = 0
        self._counters = StreamCounters()
        self._fast_bytes = 0
        self._opened = 0
        self._ended: dict[str, int] = {}
        self._given_up = {"reorder_timeout": 0, "connection_bytes": 0, "total_bytes": 0, "ended": 0}
        self._reordered = 0
        self._late_events = 0
        self._late_bytes = 0

    def receive(self, event: KernelEvent) -> list[StreamEvent]:
        """Take one event and return what can be said now, in order."""
        out: list[StreamEvent]
        if type(event) is DataCaptured:
            connection = event.connection
            tracked = self._connections.get(connection)
            if tracked is not None and not tracked.waiting:
                data = event.data
                position = event.position
                length = len(data)
                direction = event.direction
                if position == tracked.expected[direction] and length == event.size:
                    tracked.expected[direction] = position + length
                    tracked.last_ns = timestamp_ns = event.timestamp_ns
                    self._connections.move_to_end(connection)
                    self._fast_bytes += length
                    out = [
                        BytesReceived(connection, direction, position, data, event.started_ns, timestamp_ns)
                    ]
                    if self._waiting:
                        self._advance(timestamp_ns, out)
                    return out
        out = []
        self._now_ns = max(self._now_ns, event.timestamp_ns)
        match event:
            case DataCaptured():
                self._data(event, out)
            case DirectionClosed():
                self._direction_closed(event, out)
            case ConnectionClosed():
                self._connection_closed(event, out)
            case ProcessExited():
                for connection in tuple(self._by_process.get(event.process, ())):
                    self._end(connection, event.timestamp_ns, "process_exit", out)
            case ConnectionObserved() | HandshakeCompleted():
                self._touch(event.connection, event.timestamp_ns, out)
        if self._waiting:
            self._advance(event.timestamp_ns, out)
        return out

    def tick(self, now_ns: int) -> list[StreamEvent]:
        """Give up holes that were waited for long enough, and end idle connections, as of ``now_ns``."""
        out: list[StreamEvent] = []
        self._advance(now_ns, out)
        oldest_allowed = now_ns - self._idle_ns
        while self._connections:
            connection, tracked = next(iter(self._connections.items()))
            if tracked.last_ns >= oldest_allowed:
                break
            self._end(connection, now_ns, "idle", out)
        return out

    def end_all(self, now_ns: int, reason: str) -> list[StreamEvent]:
        """End every connection with ``reason``, delivering what is held."""
        out: list[StreamEvent] = []
        while self._connections:
            self._end(next(iter(self._connections)), now_ns, reason, out)
        return out

    def has_carried(self, connection: ConnectionId) -> bool:
        """Whether anything was heard of what an open connection carries: data, or a direction's end."""
        tracked = self._connections.get(connection)
        return tracked is not None and (max(tracked.expected) > 0 or tracked.buffer.held_bytes > 0)

    def statistics(self) -> ReassemblyStatistics:
        """Return a snapshot of all counters."""
        counters = self._counters
        return ReassemblyStatistics(
            connections=len(self._connections),
            held_bytes=self._held_bytes,
            opened=self._opened,
            ended=dict(self._ended),
            delivered_bytes=self._fast_bytes + counters.delivered_bytes,
            gaps=dict(counters.gaps),
            gap_bytes=dict(counters.gap_bytes),
            given_up=dict(self._given_up),
            reordered=self._reordered,
            duplicate_bytes=counters.duplicate_bytes,
            late_events=self._late_events,
            late_bytes=self._late_bytes,
            unseen_start_bytes=counters.unseen_start_bytes,
        )

    def _touch(self, connection: ConnectionId, now_ns: int, out: list[StreamEvent]) -> _Tracked | None:
        """Find or open ``connection`` and note its activity; None when it has ended before."""
        tracked = self._connections.get(connection)
        if tracked is not None:
            tracked.last_ns = max(tracked.last_ns, now_ns)
            self._connections.move_to_end(connection)
            return tracked
        if connection in self._recently_ended:
            return None
        while len(self._connections) >= self._max_connections:
            self._end(next(iter(self._connections)), now_ns, "evicted", out)
        tracked = _Tracked(StreamBuffer(connection, self._counters), now_ns)
        self._connections[connection] = tracked
        self._by_process.setdefault(connection[:2], {})[connection] = None
        self._opened += 1
        return tracked

    def _data(self, event: DataCaptured, out: list[StreamEvent]) -> None:
        if event.size <= 0:
            return
        tracked = self._touch(event.connection, event.timestamp_ns, out)
        if tracked is None or tracked.expected[event.direction] == _ENDED:
            self._late_events += 1
            self._late_bytes += len(event.data)
            return
        buffer = tracked.buffer
        held_before = buffer.held_bytes
        said_before = len(out)
        if 0 <= tracked.expected[event.direction] < event.position:
            self._reordered += 1
        buffer.receive(event, out)
        self._held_bytes += buffer.held_bytes - held_before
        if buffer.held_bytes and len(out) > said_before:
            # A hole was filled and another one is left: that one has its own time.
            self._waiting.pop(buffer.connection, None)
            tracked.waiting = False
        self._settle(tracked, out)
        if buffer.held_bytes > self._max_bytes_per_connection:
            self._give_up(tracked, "connection_bytes", out)
        while self._held_bytes > self._max_bytes_total:
            longest = next(waiting for waiting in self._waiting.values() if waiting.buffer.held_bytes)
            self._give_up(longest, "total_bytes", out)

    def _direction_closed(self, event: DirectionClosed, out: list[StreamEvent]) -> None:
        tracked = self._touch(event.connection, event.timestamp_ns, out)
        if tracked is None or tracked.closed is not None or tracked.expected[event.direction] == _ENDED:
            return
        tracked.ends[event.direction] = event.position
        self._settle(tracked, out)

    def _connection_closed(self, event: ConnectionClosed, out: list[StreamEvent]) -> None:
        connection = event.connection
        tracked = self._connections.get(connection)
        if tracked is not None:
            tracked.closed = event
            self._settle(tracked, out)
        elif connection not in self._recently_ended:
            # Nothing is known of it here, but others may keep something under this id.
            self._remember_end(connection, event.reason)
            out.append(
                ConnectionEnded(
                    connection,
                    event.timestamp_ns,
                    event.reason,
                    event.egress_position,
                    event.ingress_position,
                )
            )

    def _settle(self, tracked: _Tracked, out: list[StreamEvent]) -> None:
        """Say the pending ends whose bytes are all there; wait for the rest, or open the fast path."""
        buffer = tracked.buffer
        expected = tracked.expected
        waits = buffer.held_bytes > 0
        if not waits:
            for direction in DIRECTIONS:
                end = tracked.ends[direction]
                if end > max(expected[direction], 0):
                    waits = True
                elif end >= 0:
                    self._end_direction(tracked, direction, out)
            closed = tracked.closed
            if closed is not None:
                waits = (
                    max(expected[0], 0) < closed.egress_position
                    or max(expected[1], 0) < closed.ingress_position
                )
                if not waits:
                    self._end(buffer.connection, closed.timestamp_ns, closed.reason, out)
                    return
        if waits and not tracked.waiting:
            tracked.waiting_since_ns = self._now_ns
            self._waiting[buffer.connection] = tracked
        elif tracked.waiting and not waits:
            del self._waiting[buffer.connection]
        tracked.waiting = waits

    def _advance(self, now_ns: int, out: list[StreamEvent]) -> None:
        """Move time on, and stop waiting where it took ``reorder_ns``."""
        self._now_ns = now_ns = max(now_ns, self._now_ns)
        while self._waiting:
            tracked = next(iter(self._waiting.values()))
            if now_ns - tracked.waiting_since_ns < self._reorder_ns:
                break
            if tracked.buffer.held_bytes:
                self._give_up(tracked, "reorder_timeout", out)
                if not tracked.waiting:
                    continue
            closed = tracked.closed
            if closed is not None:
                self._end(tracked.buffer.connection, closed.timestamp_ns, closed.reason, out)
                continue
            for direction in DIRECTIONS:
                if tracked.ends[direction] >= 0:
                    self._end_direction(tracked, direction, out)
            self._settle(tracked, out)

    def _give_up(self, tracked: _Tracked, reason: str, out: list[StreamEvent]) -> None:
        """Step over all holes of a connection: gaps, and everything that was held."""
        self._given_up[reason] += 1
        self._held_bytes -= tracked.buffer.held_bytes
        tracked.buffer.release(out, give_up=True)
        self._settle(tracked, out)

    def _end_direction(self, tracked: _Tracked, direction: Direction, out: list[StreamEvent]) -> None:
        buffer = tracked.buffer
        buffer.close(direction, tracked.ends[direction], tracked.last_ns, out)
        tracked.ends[direction] = -1
        tracked.expected[direction] = _ENDED
        out.append(DirectionEnded(buffer.connection, direction, tracked.last_ns))

    def _end(self, connection: ConnectionId, now_ns: int, reason: str, out: list[StreamEvent]) -> None:
        """Deliver what is held, say what is missing, and forget the connection."""
        tracked = self._connections.pop(connection)
        self._waiting.pop(connection, None)
        tracked.waiting = False
        of_process = self._by_process[connection[:2]]
        del of_process[connection]
        if not of_process:
            del self._by_process[connection[:2]]
        buffer = tracked.buffer
        if buffer.held_bytes:
            self._given_up["ended"] += 1
            self._held_bytes -= buffer.held_bytes
            buffer.release(out, give_up=True)
        for direction in DIRECTIONS:
            if tracked.ends[direction] >= 0:
                self._end_direction(tracked, direction, out)
        closed = tracked.closed
        if closed is not None:
            buffer.close(Direction.EGRESS, closed.egress_position, now_ns, out)
            buffer.close(Direction.INGRESS, closed.ingress_position, now_ns, out)
        if reason in _FINAL_REASONS:
            self._remember_end(connection, reason)
        else:
            self._ended[reason] = self._ended.get(reason, 0) + 1
        egress, ingress = (max(position, 0) for position in buffer.expected)
        out.append(ConnectionEnded(connection, now_ns, reason, egress, ingress))

    def _remember_end(self, connection: ConnectionId, reason: str) -> None:
        self._ended[reason] = self._ended.get(reason, 0) + 1
        self._recently_ended[connection] = None
        if len(self._recently_ended) > REMEMBERED_ENDS:
            del self._recently_ended[next(iter(self._recently_ended))]
