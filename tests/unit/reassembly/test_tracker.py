# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.model.events import (
    ConnectionClosed,
    ConnectionObserved,
    DataCaptured,
    DirectionClosed,
    HandshakeCompleted,
    ProcessExited,
)
from otel_qtap.model.identity import ConnectionId, Direction, PeerSource, ProcessId, Role
from otel_qtap.model.stream import BytesReceived, ConnectionEnded, DirectionEnded, GapDetected, StreamEvent
from otel_qtap.reassembly import ConnectionTracker
from otel_qtap.reassembly.stream_buffer import HELD_EVENT_OVERHEAD

EGRESS, INGRESS = Direction.EGRESS, Direction.INGRESS
A = ConnectionId(10, 1, 0xA, 0)
B = ConnectionId(10, 1, 0xB, 0)
MS = 1_000_000


def data(
    connection: ConnectionId,
    position: int,
    content: bytes,
    *,
    at: int = 0,
    size: int | None = None,
    direction=EGRESS,
) -> DataCaptured:
    size = len(content) if size is None else size
    return DataCaptured(connection, direction, position, size, content, at, at)


def closed(connection: ConnectionId, egress: int, ingress: int, *, at: int = 0) -> ConnectionClosed:
    return ConnectionClosed(connection, at, "ssl_free", egress, ingress)


def observed(connection: ConnectionId, *, at: int = 0) -> ConnectionObserved:
    return ConnectionObserved(connection, at, Role.CLIENT, None, None, PeerSource.NONE, True, "curl", 0)


def kinds(events: list[StreamEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_an_event_in_its_place_is_passed_on_with_the_same_bytes():
    tracker = ConnectionTracker()
    content = b"GET / HTTP/1.1\r\n\r\n"
    tracker.receive(data(A, 0, b"x"))
    (event,) = tracker.receive(DataCaptured(A, EGRESS, 1, len(content), content, 5, 9))
    assert isinstance(event, BytesReceived)
    assert event.data is content
    assert (event.position, event.started_ns, event.timestamp_ns) == (1, 5, 9)


def test_knowledge_of_a_connection_says_nothing():
    tracker = ConnectionTracker()
    assert tracker.receive(observed(A)) == []
    assert tracker.receive(HandshakeCompleted(A, 1, 0)) == []
    assert tracker.statistics().connections == 1


def test_whether_a_connection_has_carried_anything():
    tracker = ConnectionTracker()
    assert not tracker.has_carried(A)
    tracker.receive(observed(A))
    assert not tracker.has_carried(A)
    tracker.receive(data(A, 0, b"x"))
    assert tracker.has_carried(A)
    tracker.receive(DirectionClosed(B, EGRESS, 0, 0))
    assert tracker.has_carried(B)
    tracker.receive(closed(A, 1, 0))
    assert not tracker.has_carried(A)


def test_a_hole_is_given_up_after_the_reorder_time_by_ticks():
    tracker = ConnectionTracker(reorder_ns=10 * MS)
    tracker.receive(data(A, 0, b"ab", at=100))
    assert tracker.receive(data(A, 5, b"f", at=200)) == []
    assert tracker.tick(200 + 10 * MS - 1) == []
    gap, rest = tracker.tick(200 + 10 * MS)
    assert isinstance(gap, GapDetected)
    assert (gap.position, gap.length) == (2, 3)
    assert isinstance(rest, BytesReceived)
    assert rest.data == b"f"
    assert tracker.statistics().given_up["reorder_timeout"] == 1


def test_a_hole_is_given_up_by_the_time_of_other_connections_events():
    tracker = ConnectionTracker(reorder_ns=10 * MS)
    tracker.receive(data(A, 0, b"ab"))
    tracker.receive(data(B, 0, b"b"))
    tracker.receive(data(A, 5, b"f"))
    out = tracker.receive(data(B, 1, b"b", at=10 * MS))
    assert kinds(out) == ["BytesReceived", "GapDetected", "BytesReceived"]
    assert [event.connection for event in out] == [B, A, A]


def test_a_backlog_does_not_count_as_waiting():
    # The pipeline is a second behind: its clock is ahead of the events it reads.
    tracker = ConnectionTracker(reorder_ns=10 * MS)
    tracker.receive(data(A, 0, b"a", at=1))
    tracker.tick(1000 * MS)
    tracker.receive(data(A, 2, b"c", at=3))
    assert tracker.tick(1001 * MS) == []
    assert [e.data for e in tracker.receive(data(A, 1, b"b", at=2)) if isinstance(e, BytesReceived)] == [
        b"b",
        b"c",
    ]


def test_the_event_that_fills_a_hole_is_taken_whatever_its_time():
    tracker = ConnectionTracker(reorder_ns=10 * MS)
    tracker.receive(data(A, 0, b"a"))
    tracker.receive(data(A, 2, b"c"))
    assert kinds(tracker.receive(data(A, 1, b"b", at=99 * MS))) == ["BytesReceived", "BytesReceived"]


def test_too_much_held_by_one_connection_gives_its_hole_up():
    tracker = ConnectionTracker(max_bytes_per_connection=3 * HELD_EVENT_OVERHEAD)
    tracker.receive(data(A, 0, b"a"))
    assert tracker.receive(data(A, 2, b"c")) == []
    assert tracker.receive(data(A, 3, b"d")) == []
    out = tracker.receive(data(A, 4, b"e"))
    assert kinds(out) == ["GapDetected", "BytesReceived", "BytesReceived", "BytesReceived"]
    statistics = tracker.statistics()
    assert statistics.given_up["connection_bytes"] == 1
    assert statistics.held_bytes == 0


def test_too_much_held_in_all_gives_up_the_longest_waiting():
    tracker = ConnectionTracker(max_bytes_total=3 * HELD_EVENT_OVERHEAD)
    for connection in (A, B):
        tracker.receive(data(connection, 0, b"a"))
    tracker.receive(data(A, 2, b"c"))
    tracker.receive(data(B, 2, b"c"))
    out = tracker.receive(data(B, 3, b"d"))
    assert [event.connection for event in out] == [A, A]
    assert tracker.statistics().given_up["total_bytes"] == 1


def test_close_with_everything_there_ends_at_once():
    tracker = ConnectionTracker()
    tracker.receive(data(A, 0, b"ab"))
    (end,) = tracker.receive(closed(A, 2, 0, at=7))
    assert end == ConnectionEnded(A, 7, "ssl_free", 2, 0)


def test_close_waits_for_bytes_on_their_way():
    tracker = ConnectionTracker()
    tracker.receive(data(A, 0, b"ab"))
    assert tracker.receive(data(A, 4, b"e")) == []
    assert tracker.receive(closed(A, 5, 0)) == []
    out = tracker.receive(data(A, 2, b"cd"))
    assert kinds(out) == ["BytesReceived", "BytesReceived", "ConnectionEnded"]


def test_close_says_the_missing_tail_when_the_wait_is_over():
    tracker = ConnectionTracker(reorder_ns=10 * MS)
    tracker.receive(data(A, 0, b"ab"))
    tracker.receive(data(A, 4, b"e"))
    tracker.receive(closed(A, 9, 3, at=5))
    out = tracker.tick(5 + 10 * MS)
    assert [(type(e).__name__, getattr(e, "direction", None), getattr(e, "position", None)) for e in out] == [
        ("GapDetected", EGRESS, 2),
        ("BytesReceived", EGRESS, 4),
        ("GapDetected", EGRESS, 5),
        ("GapDetected", INGRESS, 0),
        ("ConnectionEnded", None, None),
    ]
    assert tracker.statistics().gap_bytes == {"not_copied": 0, "lost": 2, "tail": 7}


def test_close_of_an_unknown_connection_is_passed_on_once():
    tracker = ConnectionTracker()
    assert kinds(tracker.receive(closed(A, 100, 100))) == ["ConnectionEnded"]
    assert tracker.receive(closed(A, 100, 100)) == []


def test_late_data_does_not_bring_a_connection_back():
    tracker = ConnectionTracker()
    tracker.receive(data(A, 0, b"ab"))
    tracker.receive(closed(A, 2, 0))
    assert tracker.receive(data(A, 0, b"ab")) == []
    assert tracker.receive(observed(A)) == []
    statistics = tracker.statistics()
    assert (statistics.connections, statistics.late_events, statistics.late_bytes) == (0, 1, 2)


def test_a_direction_ends_after_its_last_byte_and_the_other_goes_on():
    tracker = ConnectionTracker()
    tracker.receive(data(A, 0, b"ab"))
    assert tracker.receive(DirectionClosed(A, EGRESS, 3, 9)) == []
    out = tracker.receive(data(A, 2, b"c", at=4))
    assert kinds(out) == ["BytesReceived", "DirectionEnded"]
    assert isinstance(out[1], DirectionEnded)
    assert out[1].direction == EGRESS
    assert kinds(tracker.receive(data(A, 0, b"x", direction=INGRESS))) == ["BytesReceived"]
    assert tracker.receive(data(A, 3, b"d")) == []
    assert tracker.statistics().late_bytes == 1
    assert kinds(tracker.receive(closed(A, 3, 1))) == ["ConnectionEnded"]


def test_a_process_exit_ends_its_connections_and_no_others():
    tracker = ConnectionTracker()
    other = ConnectionId(10, 2, 0xA, 0)
    for connection in (A, B, other):
        tracker.receive(data(connection, 0, b"a"))
    tracker.receive(data(A, 5, b"f"))
    out = tracker.receive(ProcessExited(ProcessId(10, 1), 50))
    assert kinds(out) == ["GapDetected", "BytesReceived", "ConnectionEnded", "ConnectionEnded"]
    assert {event.connection for event in out if isinstance(event, ConnectionEnded)} == {A, B}
    assert tracker.statistics().connections == 1


def test_generations_of_one_handle_never_mix():
    tracker = ConnectionTracker()
    tracker.receive(data(A, 0, b"ab"))
    tracker.receive(data(A, 9, b"z"))
    successor = A._replace(generation=1)
    (event,) = tracker.receive(data(successor, 0, b"new"))
    assert isinstance(event, BytesReceived)
    assert (event.connection, event.data) == (successor, b"new")


def test_idle_connections_end_and_may_come_back():
    tracker = ConnectionTracker(idle_ns=1000)
    tracker.receive(data(A, 0, b"a", at=0))
    tracker.receive(data(B, 0, b"a", at=500))
    assert tracker.tick(1000) == []
    assert tracker.tick(1001) == [ConnectionEnded(A, 1001, "idle", 1, 0)]
    (event,) = tracker.receive(data(A, 1, b"b", at=2000))
    assert isinstance(event, BytesReceived)
    assert event.position == 1


def test_the_longest_idle_connection_makes_room():
    tracker = ConnectionTracker(max_connections=2)
    tracker.receive(data(A, 0, b"a"))
    tracker.receive(data(B, 0, b"a"))
    tracker.receive(data(A, 1, b"b"))
    out = tracker.receive(data(ConnectionId(11, 1, 0xC, 0), 0, b"a", at=3))
    assert out[0] == ConnectionEnded(B, 3, "evicted", 1, 0)
    assert tracker.statistics().ended == {"evicted": 1}


def test_end_all_delivers_what_is_held():
    tracker = ConnectionTracker()
    tracker.receive(data(A, 0, b"a"))
    tracker.receive(data(A, 2, b"c"))
    tracker.receive(DirectionClosed(B, EGRESS, 4, 0))
    out = tracker.end_all(9, "agent_stopped")
    assert kinds(out) == [
        "GapDetected",
        "BytesReceived",
        "ConnectionEnded",
        "DirectionEnded",
        "ConnectionEnded",
    ]
    statistics = tracker.statistics()
    assert (statistics.connections, statistics.held_bytes) == (0, 0)
    assert tracker.tick(10**18) == []


def test_memory_of_ends_is_bounded():
    tracker = ConnectionTracker()
    for handle in range(6000):
        tracker.receive(closed(ConnectionId(1, 1, handle, 0), 0, 0))
    assert tracker.statistics().ended["ssl_free"] == 6000
    assert len(tracker._recently_ended) <= 4096


@st.composite
def disordered_events(draw: st.DrawFn) -> tuple[list[DataCaptured], bytes, bytes]:
    """Two streams cut in events, in an order where no event is moved by more than a few places."""
    streams = [bytes(draw(st.binary(max_size=60))), bytes(draw(st.binary(max_size=60)))]
    events: list[DataCaptured] = []
    for direction in (EGRESS, INGRESS):
        content, position = streams[direction], 0
        while position < len(content):
            length = draw(st.integers(1, 9))
            piece = content[position : position + length]
            events.append(data(A, position, piece, direction=direction))
            position += len(piece)
    heads = [event for event in events if event.position == 0]
    rest = [event for event in events if event.position != 0]
    random.Random(draw(st.integers(0, 2**16))).shuffle(rest)
    repeated = rest + draw(st.lists(st.sampled_from(rest), max_size=4)) if rest else rest
    return heads + repeated, streams[0], streams[1]


@given(disordered_events())
def test_any_order_of_events_gives_the_streams_back(case: tuple[list[DataCaptured], bytes, bytes]):
    events, egress, ingress = case
    tracker = ConnectionTracker()
    out: list[StreamEvent] = []
    for event in events:
        out += tracker.receive(event)
    out += tracker.receive(closed(A, len(egress), len(ingress)))
    for direction, content in ((EGRESS, egress), (INGRESS, ingress)):
        received = [e for e in out if isinstance(e, BytesReceived) and e.direction == direction]
        assert b"".join(e.data for e in received) == content
    assert not any(isinstance(e, GapDetected) for e in out)
    if egress or ingress:
        assert isinstance(out[-1], ConnectionEnded)
    assert tracker.statistics().held_bytes == 0


@given(disordered_events(), st.data())
def test_every_byte_is_delivered_or_said_to_be_missing(
    case: tuple[list[DataCaptured], bytes, bytes], choice: st.DataObject
):
    events, egress, ingress = case
    kept = [event for event in events if event.position == 0 or choice.draw(st.booleans())]
    tracker = ConnectionTracker(max_bytes_per_connection=4 * HELD_EVENT_OVERHEAD, reorder_ns=5)
    out: list[StreamEvent] = []
    for number, event in enumerate(kept):
        event.timestamp_ns = number
        out += tracker.receive(event)
        assert tracker.statistics().held_bytes <= 4 * HELD_EVENT_OVERHEAD + 60
    out += tracker.receive(closed(A, len(egress), len(ingress), at=len(kept)))
    out += tracker.tick(10**9)
    for direction, content in ((EGRESS, egress), (INGRESS, ingress)):
        position = 0
        for event in out:
            if isinstance(event, BytesReceived) and event.direction == direction:
                assert event.position == position
                assert event.data == content[position : position + len(event.data)]
                position += len(event.data)
            elif isinstance(event, GapDetected) and event.direction == direction:
                assert event.position == position
                position += event.length
        assert position == len(content)


@pytest.mark.parametrize("size", [0, -1])
def test_an_empty_event_is_nothing(size: int):
    assert ConnectionTracker().receive(data(A, 0, b"", size=size)) == []
