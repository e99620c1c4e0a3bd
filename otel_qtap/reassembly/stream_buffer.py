# SPDX-License-Identifier: Apache-2.0
"""One connection put back in order: two directions, each with an expected position.

The law: a direction delivers bytes at ascending positions, each byte at most once, and says exactly
which are missing. While one direction waits for a missing run, events of the other wait with it, so
that what a request and its response tell about each other (which came first) survives the wait;
``release`` merges both by time. Waiting is bounded by the tracker, which decides when to give up.
"""

from bisect import insort

from otel_qtap.model.events import DataCaptured
from otel_qtap.model.identity import ConnectionId, Direction
from otel_qtap.model.stream import BytesReceived, GapDetected, StreamEvent

HELD_EVENT_OVERHEAD = 256
"""What one held event costs beside its bytes: objects and list slots, rounded up. Without it, a peer
that sends single bytes out of order would hold 200 times what the bound says."""

DIRECTIONS = (Direction.EGRESS, Direction.INGRESS)


def _position(event: DataCaptured) -> int:
    return event.position


class StreamCounters:
    """Counts shared by all buffers of a tracker."""

    __slots__ = ("delivered_bytes", "duplicate_bytes", "gap_bytes", "gaps", "unseen_start_bytes")

    def __init__(self) -> None:
        self.delivered_bytes = 0
        self.duplicate_bytes = 0
        self.unseen_start_bytes = 0
        self.gaps = {"not_copied": 0, "lost": 0, "tail": 0}
        self.gap_bytes = {"not_copied": 0, "lost": 0, "tail": 0}


class StreamBuffer:
    """Both directions of one connection.

    ``expected[direction]`` is the position of the next byte to deliver, -1 before the first;
    ``held_bytes`` is what held events cost, overhead included.
    """

    __slots__ = ("_counters", "_held", "connection", "expected", "held_bytes", "started_at")

    def __init__(self, connection: ConnectionId, counters: StreamCounters) -> None:
        self.connection = connection
        self._counters = counters
        self.expected = [-1, -1]
        self.started_at = [-1, -1]
        self._held: tuple[list[DataCaptured], list[DataCaptured]] = ([], [])
        self.held_bytes = 0

    def receive(self, event: DataCaptured, out: list[StreamEvent]) -> bool:
        """Deliver ``event``, or hold it when its turn has not come. Return whether anything is held."""
        direction = event.direction
        expected = self.expected[direction]
        if expected < 0:
            # The first event decides where this direction begins: nothing is known of what was before.
            self.expected[direction] = self.started_at[direction] = event.position
            self._counters.unseen_start_bytes += event.position
        elif event.position + event.size <= expected:
            self._counters.duplicate_bytes += len(event.data)
            return self.held_bytes > 0
        if self.held_bytes == 0 and event.position <= self.expected[direction]:
            self._deliver(event, out)
            return False
        insort(self._held[direction], event, key=_position)
        self.held_bytes += len(event.data) + HELD_EVENT_OVERHEAD
        return self.release(out)

    def release(self, out: list[StreamEvent], *, give_up: bool = False) -> bool:
        """Deliver what can be delivered; with ``give_up``, everything, stepping over holes.

        Return whether anything is still held.
        """
        egress, ingress = self._held
        while egress or ingress:
            blocked = [
                bool(held) and held[0].position > self.expected[direction]
                for direction, held in zip(DIRECTIONS, self._held, strict=True)
            ]
            if any(blocked) and not give_up:
                return True
            if not ingress or (egress and egress[0].timestamp_ns <= ingress[0].timestamp_ns):
                event = egress.pop(0)
            else:
                event = ingress.pop(0)
            self.held_bytes -= len(event.data) + HELD_EVENT_OVERHEAD
            missing = event.position - self.expected[event.direction]
            if missing > 0:
                self._gap(event.direction, missing, event.timestamp_ns, "lost", out)
            self._deliver(event, out)
        return False

    def close(self, direction: Direction, position: int, now_ns: int, out: list[StreamEvent]) -> None:
        """Say which bytes before ``position``, the direction's total, never came. Nothing may be held.

        A direction of which nothing was seen counts from 0 if the other one was seen from its first
        byte; otherwise its missing bytes may date from before the agent attached, and nothing is said.
        """
        expected = self.expected[direction]
        if expected < 0:
            if position <= 0 or self.started_at[1 - direction] != 0:
                return
            expected = self.expected[direction] = self.started_at[direction] = 0
        if position > expected:
            self._gap(direction, position - expected, now_ns, "tail", out)

    def _deliver(self, event: DataCaptured, out: list[StreamEvent]) -> None:
        """Deliver the part of ``event`` that lies at or after the expected position, and its cut tail."""
        direction = event.direction
        position, data = event.position, event.data
        expected = self.expected[direction]
        known = position + len(data)
        end = position + event.size
        if end <= expected:
            self._counters.duplicate_bytes += len(data)
            return
        if position < expected:
            overlap = min(expected - position, len(data))
            self._counters.duplicate_bytes += overlap
            data = data[overlap:]
            position = expected
        if data:
            out.append(
                BytesReceived(
                    self.connection, direction, position, data, event.started_ns, event.timestamp_ns
                )
            )
            self._counters.delivered_bytes += len(data)
        self.expected[direction] = max(known, position)
        if end > self.expected[direction]:
            missing = end - self.expected[direction]
            self._gap(direction, missing, event.timestamp_ns, "not_copied", out)

    def _gap(
        self, direction: Direction, length: int, timestamp_ns: int, cause: str, out: list[StreamEvent]
    ) -> None:
        position = self.expected[direction]
        out.append(GapDetected(self.connection, direction, position, length, timestamp_ns))
        self.expected[direction] = position + length
        self._counters.gaps[cause] += 1
        self._counters.gap_bytes[cause] += length
