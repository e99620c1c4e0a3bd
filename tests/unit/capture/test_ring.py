# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.capture.ring import RingBuffer
from tests.support.ring_file import PAGE, RingFile

SIZE = 4 * PAGE


@pytest.fixture
def fake() -> RingFile:
    return RingFile()


def read(ring: RingBuffer, max_bytes: int = SIZE) -> list[bytes]:
    found: list[bytes] = []
    ring.drain(lambda memory, at, size: found.append(bytes(memory[at : at + size])), max_bytes)
    return found


def test_records_come_in_order_and_once(fake: RingFile) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    fake.produce(b"one")
    fake.produce(b"two and a half")

    assert read(ring) == [b"one", b"two and a half"]
    assert read(ring) == []
    assert fake.consumed() == fake.position


def test_a_record_that_wraps_is_whole(fake: RingFile) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    for _ in range(12):
        fake.produce(b"x" * 1800)
        assert read(ring) == [b"x" * 1800]

    assert fake.position > SIZE


def test_reading_stops_before_a_record_that_is_still_written(fake: RingFile) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    fake.produce(b"done")
    busy = fake.position
    fake.produce(b"later", flags=1 << 31)
    fake.produce(b"last")

    assert read(ring) == [b"done"]

    fake.commit(busy, 5)
    assert read(ring) == [b"later", b"last"]


def test_discarded_records_are_skipped(fake: RingFile) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    fake.produce(b"gone", flags=1 << 30)
    fake.produce(b"kept")

    assert read(ring) == [b"kept"]


def test_a_bounded_read_leaves_the_rest(fake: RingFile) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    for number in range(10):
        fake.produce(bytes([number]) * 100)

    assert len(read(ring, 300)) == 3
    assert ring.backlog() == fake.position - fake.consumed()
    assert len(read(ring)) == 7


def test_what_was_handed_over_is_consumed_when_the_handler_fails(fake: RingFile) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    fake.produce(b"bad")
    fake.produce(b"good")

    def fail(*_: object) -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        ring.drain(fail, SIZE)

    assert read(ring) == [b"good"]
