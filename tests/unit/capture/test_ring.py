# SPDX-License-Identifier: Apache-2.0
import struct
import tempfile

import pytest

from otel_qtap.capture.ring import RingBuffer

PAGE = 4096
SIZE = 4 * PAGE


class FakeRing:
    """A file laid out like the kernel's ring: consumer page, producer page, data, and the data again."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the ring
        self.file.truncate(2 * PAGE + 2 * SIZE)
        self.position = 0

    def produce(self, payload: bytes, *, flags: int = 0) -> None:
        record = struct.pack("<II", len(payload) | flags, 0) + payload
        record += b"\0" * (-len(record) % 8)
        for index, byte in enumerate(record):
            place = (self.position + index) % SIZE
            for copy in (place, place + SIZE):
                self._write(2 * PAGE + copy, bytes([byte]))
        self.position += len(record)
        self._write(PAGE, struct.pack("<Q", self.position))

    def commit(self, at: int, length: int) -> None:
        self._write(2 * PAGE + at % SIZE, struct.pack("<I", length))

    def consumed(self) -> int:
        self.file.seek(0)
        return int(struct.unpack("<Q", self.file.read(8))[0])

    def _write(self, offset: int, data: bytes) -> None:
        self.file.seek(offset)
        self.file.write(data)
        self.file.flush()


@pytest.fixture
def fake() -> FakeRing:
    return FakeRing()


def read(ring: RingBuffer, max_bytes: int = SIZE) -> list[bytes]:
    found: list[bytes] = []
    ring.drain(lambda memory, at, size: found.append(bytes(memory[at : at + size])), max_bytes)
    return found


def test_records_come_in_order_and_once(fake: FakeRing) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    fake.produce(b"one")
    fake.produce(b"two and a half")

    assert read(ring) == [b"one", b"two and a half"]
    assert read(ring) == []
    assert fake.consumed() == fake.position


def test_a_record_that_wraps_is_whole(fake: FakeRing) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    for _ in range(12):
        fake.produce(b"x" * 1800)
        assert read(ring) == [b"x" * 1800]

    assert fake.position > SIZE


def test_reading_stops_before_a_record_that_is_still_written(fake: FakeRing) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    fake.produce(b"done")
    busy = fake.position
    fake.produce(b"later", flags=1 << 31)
    fake.produce(b"last")

    assert read(ring) == [b"done"]

    fake.commit(busy, 5)
    assert read(ring) == [b"later", b"last"]


def test_discarded_records_are_skipped(fake: FakeRing) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    fake.produce(b"gone", flags=1 << 30)
    fake.produce(b"kept")

    assert read(ring) == [b"kept"]


def test_a_bounded_read_leaves_the_rest(fake: FakeRing) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    for number in range(10):
        fake.produce(bytes([number]) * 100)

    assert len(read(ring, 300)) == 3
    assert ring.backlog() == fake.position - fake.consumed()
    assert len(read(ring)) == 7


def test_what_was_handed_over_is_consumed_when_the_handler_fails(fake: FakeRing) -> None:
    ring = RingBuffer(fake.file.fileno(), SIZE)
    fake.produce(b"bad")
    fake.produce(b"good")

    def fail(*_: object) -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        ring.drain(fail, SIZE)

    assert read(ring) == [b"good"]
