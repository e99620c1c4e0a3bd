# SPDX-License-Identifier: Apache-2.0
"""The kernel side and the agent's own discovery at work, with all that they capture kept in memory."""

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from otel_qtap.agent.probed_files import ProbedFiles
from otel_qtap.capture.attach import Tracepoints
from otel_qtap.capture.decode import Decoder
from otel_qtap.capture.ring import Counters, RingBuffer
from otel_qtap.capture.session import Loading
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.scan import LibraryScanner
from otel_qtap.model.events import ConnectionObserved, DataCaptured, KernelEvent
from otel_qtap.model.identity import ConnectionId, Direction
from otel_qtap.probes.unsupported import REASONS
from tests.support.cache import compiled_programs
from tests.support.old_kernel import offsets_for

_RING_BYTES = 64 << 20
_GRACE_SECONDS = 3600.0


@dataclass(slots=True)
class Piece:
    """One captured event, with what was known of its connection when it came."""

    event: DataCaptured
    facts: ConnectionObserved


class Capture:
    """One kernel session for many rows. Rings are emptied by a thread of its own."""

    def __init__(self, plans: Path, attach: str) -> None:
        self.session = Loading(
            interpreter="/usr/bin/python3",
            offsets=lambda: offsets_for(attach),
            attach="multi" if attach == "multi" else "perf",
            data_ring_bytes=_RING_BYTES,
            cache=compiled_programs(attach),
        ).result()
        scanner = LibraryScanner(LibraryLocator(plans))
        self._files = ProbedFiles(self.session, scanner, grace_seconds=_GRACE_SECONDS)
        self._tracepoints = Tracepoints(self.session)
        maps = self.session.maps
        self._rings = (
            RingBuffer(maps["data_ring"], self.session.data_ring_bytes),
            RingBuffer(maps["control_ring"], self.session.control_ring_bytes),
        )
        self.counters = Counters(maps["counters"])
        self._decoder = Decoder()
        self._facts: dict[ConnectionId, ConnectionObserved] = {}
        self._pieces: dict[int, list[Piece]] = defaultdict(list)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read_on, daemon=True)
        self.probe_what_runs()
        self._thread.start()

    def probe_what_runs(self) -> None:
        """Attach to every TLS library that some process maps now."""
        self._files.follow(wait=True)

    def reasons(self, pid: int) -> set[str]:
        """Why what a process maps is not captured, as users are told."""
        told: set[str] = set()
        for verdict in self._files.verdicts(pid):
            told |= {REASONS[name] for name in verdict.unsupported}
            told |= {refusal.reason for refusal in verdict.refusals}
        return told

    def _read_on(self) -> None:
        while not self._ended.wait(0.005):
            self.read()

    def read(self) -> None:
        """Take all that the rings hold at this moment."""
        with self._lock:
            for ring in self._rings:
                end, patience = ring.producer_position, time.monotonic() + 1
                while ring.consumer_position < end and time.monotonic() < patience:
                    ring.drain(self._decoder.decode, ring.size)
                self._keep(self._decoder.events)
                self._decoder.events = []

    def _keep(self, events: list[KernelEvent]) -> None:
        for event in events:
            if isinstance(event, ConnectionObserved):
                self._facts[event.connection] = event
            elif isinstance(event, DataCaptured):
                self._pieces[event.connection.tgid].append(Piece(event, self._facts[event.connection]))

    def take(self, pids: Collection[int]) -> list[Piece]:
        """What these processes were seen to send and receive; everything else is forgotten."""
        self.read()
        with self._lock:
            found = [piece for pid in pids for piece in self._pieces.get(pid, ())]
            self._pieces.clear()
            self._facts.clear()
            self._decoder = Decoder()  # which tells of every connection anew
            return found

    def close(self) -> None:
        """Detach and give everything up."""
        self._ended.set()
        self._thread.join()
        self._files.detach()
        self._tracepoints.detach()
        self.session.close()


@contextmanager
def capturing(plans: Path, attach: str = "multi") -> Iterator[Capture]:
    """A ``Capture`` for the length of a block."""
    capture = Capture(plans, attach)
    try:
        yield capture
    finally:
        capture.close()


def streams_of(pieces: Collection[Piece]) -> dict[tuple[ConnectionId, Direction], bytes]:
    """What each connection carried each way; fails on a hole."""
    parts: dict[tuple[ConnectionId, Direction], bytearray] = defaultdict(bytearray)
    for piece in sorted(pieces, key=lambda piece: piece.event.position):
        event = piece.event
        stream = parts[event.connection, event.direction]
        assert len(stream) == event.position, f"a hole at {len(stream)} of {event.connection}"
        assert len(event.data) == event.size, f"{event.size} bytes, {len(event.data)} of them captured"
        stream += event.data
    return {key: bytes(stream) for key, stream in parts.items()}
