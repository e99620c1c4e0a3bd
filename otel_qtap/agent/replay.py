# SPDX-License-Identifier: Apache-2.0
"""A recording through the same chain, without a kernel and without a privilege."""

import json
import struct
import sys
from pathlib import Path

from otel_qtap.agent.assembly import Rooms, open_outside
from otel_qtap.agent.directories import prepare_directories
from otel_qtap.agent.messages import read_facts
from otel_qtap.capture.decode import Decoder
from otel_qtap.capture.recording import RecordingReader, Stream
from otel_qtap.errors import RecordingError
from otel_qtap.model.identity import ProcessFacts
from otel_qtap.settings import Settings
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.terminal import printable

FLUSH_SECONDS = 30.0
_BATCH = 512


def replay(settings: Settings, path: Path) -> int:
    """Send a recording through the chain with these settings; returns the exit code.

    Raises RecordingError when the file is not a recording, or is damaged.
    """
    reader = RecordingReader(path)
    offset_ns = reader.header.get("unix_offset_ns")
    if not isinstance(offset_ns, int):
        raise RecordingError(f"{path}: the header does not tell the time")
    prepare_directories(settings)
    # Exactly the recording's own offset, so that a replay gives the same times each time.
    clock = UnixClock(boottime_ns=lambda: 0, unix_ns=lambda: offset_ns)
    rooms = Rooms(settings, open_outside(settings, clock))
    rooms.start()
    decoder = Decoder()
    now_ns = 0
    for stream, record in reader.frames():
        if stream is Stream.PROCESS:
            facts, allowed = _process(path, record)
            rooms.chain.learn(facts, allowed=allowed)
            continue
        decoder.decode(memoryview(record), 0, len(record))
        if len(decoder.events) >= _BATCH:
            now_ns = _hand_over(rooms, decoder, now_ns)
    now_ns = _hand_over(rooms, decoder, now_ns)
    rooms.chain.finish(now_ns)
    stored = rooms.archive.shutdown(FLUSH_SECONDS)
    rooms.chain.write_outcomes()
    exported = rooms.telemetry.shutdown(FLUSH_SECONDS)
    statistics = rooms.chain.statistics()
    told = f"{statistics.exchanges} exchanges replayed from {printable(str(path))}"
    print(told, file=sys.stdout)  # noqa: T201
    return 0 if stored and exported else 1


def _process(path: Path, record: bytes) -> tuple[ProcessFacts, bool]:
    try:
        message = json.loads(record)
        return read_facts(message), bool(message["allowed"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RecordingError(f"{path}: the facts of a process are damaged") from None


def _hand_over(rooms: Rooms, decoder: Decoder, now_ns: int) -> int:
    """Feed the chain what was decoded; time is what the events say."""
    events, decoder.events = decoder.events, []
    if events:
        try:
            rooms.chain.receive(events)
            now_ns = max(now_ns, events[-1].timestamp_ns)
            rooms.chain.tick(now_ns)
        except struct.error:
            raise RecordingError("the recording holds numbers that no kernel writes") from None
    return now_ns
