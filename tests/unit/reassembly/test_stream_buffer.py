# SPDX-License-Identifier: Apache-2.0
from otel_qtap.model.events import DataCaptured
from otel_qtap.model.identity import ConnectionId, Direction
from otel_qtap.model.stream import BytesReceived, GapDetected, StreamEvent
from otel_qtap.reassembly.stream_buffer import HELD_EVENT_OVERHEAD, StreamBuffer, StreamCounters

CONNECTION = ConnectionId(1, 2, 3, 0)
EGRESS, INGRESS = Direction.EGRESS, Direction.INGRESS


def data(
    position: int, content: bytes, *, size: int | None = None, at: int = 0, direction=EGRESS
) -> DataCaptured:
    return DataCaptured(
        CONNECTION, direction, position, len(content) if size is None else size, content, at, at
    )


def new_buffer() -> tuple[StreamBuffer, StreamCounters]:
    counters = StreamCounters()
    return StreamBuffer(CONNECTION, counters), counters


def said(out: list[StreamEvent]) -> list[tuple[Direction, int, bytes | int]]:
    result: list[tuple[Direction, int, bytes | int]] = []
    for event in out:
        if isinstance(event, BytesReceived):
            result.append((event.direction, event.position, event.data))
        elif isinstance(event, GapDetected):
            result.append((event.direction, event.position, event.length))
    return result


def test_begins_where_the_first_event_stands_without_a_gap():
    buffer, counters = new_buffer()
    out: list[StreamEvent] = []
    assert not buffer.receive(data(700, b"abc"), out)
    assert said(out) == [(EGRESS, 700, b"abc")]
    assert counters.unseen_start_bytes == 700


def test_holds_what_is_ahead_until_the_hole_is_filled():
    buffer, _ = new_buffer()
    out: list[StreamEvent] = []
    buffer.receive(data(0, b"a"), out)
    assert buffer.receive(data(2, b"c"), out)
    assert buffer.receive(data(3, b"d"), out)
    assert buffer.held_bytes == 2 + 2 * HELD_EVENT_OVERHEAD
    assert said(out) == [(EGRESS, 0, b"a")]
    assert not buffer.receive(data(1, b"b"), out)
    assert said(out) == [(EGRESS, 0, b"a"), (EGRESS, 1, b"b"), (EGRESS, 2, b"c"), (EGRESS, 3, b"d")]
    assert buffer.held_bytes == 0


def test_the_other_direction_waits_and_both_are_merged_by_time():
    buffer, _ = new_buffer()
    out: list[StreamEvent] = []
    buffer.receive(data(0, b"a", at=1), out)
    buffer.receive(data(2, b"c", at=30), out)
    buffer.receive(data(0, b"x", at=20, direction=INGRESS), out)
    buffer.receive(data(1, b"y", at=40, direction=INGRESS), out)
    assert said(out) == [(EGRESS, 0, b"a")]
    buffer.receive(data(1, b"b", at=10), out)
    assert [entry[2] for entry in said(out)] == [b"a", b"b", b"x", b"c", b"y"]


def test_giving_up_says_exactly_what_is_missing():
    buffer, counters = new_buffer()
    out: list[StreamEvent] = []
    buffer.receive(data(0, b"ab"), out)
    buffer.receive(data(10, b"kl"), out)
    buffer.receive(data(5, b"fg"), out)
    buffer.release(out, give_up=True)
    assert said(out) == [
        (EGRESS, 0, b"ab"),
        (EGRESS, 2, 3),
        (EGRESS, 5, b"fg"),
        (EGRESS, 7, 3),
        (EGRESS, 10, b"kl"),
    ]
    assert counters.gap_bytes["lost"] == 6


def test_bytes_that_were_not_copied_are_a_gap_after_the_data():
    buffer, counters = new_buffer()
    out: list[StreamEvent] = []
    buffer.receive(data(0, b"abc", size=10), out)
    buffer.receive(data(10, b"", size=4), out)
    buffer.receive(data(14, b"k"), out)
    assert said(out) == [(EGRESS, 0, b"abc"), (EGRESS, 3, 7), (EGRESS, 10, 4), (EGRESS, 14, b"k")]
    assert counters.gap_bytes == {"not_copied": 11, "lost": 0, "tail": 0}


def test_overlaps_are_cut():
    buffer, counters = new_buffer()
    out: list[StreamEvent] = []
    for event in (data(0, b"abcd"), data(2, b"cdef"), data(0, b"ab"), data(1, b"bcdefgh")):
        buffer.receive(event, out)
    assert b"".join(entry[2] for entry in said(out)) == b"abcdefgh"  # type: ignore[misc]
    assert counters.duplicate_bytes == 2 + 2 + 5


def test_an_overlapping_event_inside_an_uncopied_tail_is_not_delivered_twice():
    buffer, _ = new_buffer()
    out: list[StreamEvent] = []
    buffer.receive(data(0, b"abcd", size=8), out)
    buffer.receive(data(2, b"c", size=10), out)
    assert said(out) == [(EGRESS, 0, b"abcd"), (EGRESS, 4, 4), (EGRESS, 8, 4)]


def test_closing_says_the_missing_tail():
    buffer, counters = new_buffer()
    out: list[StreamEvent] = []
    buffer.receive(data(0, b"ab"), out)
    buffer.close(EGRESS, 6, 99, out)
    buffer.close(INGRESS, 5, 99, out)
    assert said(out) == [(EGRESS, 0, b"ab"), (EGRESS, 2, 4), (INGRESS, 0, 5)]
    assert counters.gap_bytes["tail"] == 9


def test_closing_claims_nothing_about_the_time_before_the_agent():
    buffer, _ = new_buffer()
    out: list[StreamEvent] = []
    buffer.receive(data(100, b"ab"), out)
    buffer.close(INGRESS, 5000, 99, out)
    assert said(out) == [(EGRESS, 100, b"ab")]
