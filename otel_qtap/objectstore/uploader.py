# SPDX-License-Identifier: Apache-2.0
"""Brings sealed segments to the store, in threads of its own, for as long as it takes.

A failure puts the segment back at the end of the line and makes all threads wait: for a second
first, then twice as long each time, at most a minute where time may help and five where only a
human can (no permission, no such bucket). One success ends the waiting.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from otel_qtap.conditions import Condition, State
from otel_qtap.errors import StoreError
from otel_qtap.model.record import SegmentDropped, SegmentStored, UploadOutcome
from otel_qtap.model.trace import SpanTarget
from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.objectstore.segment import SealedSegment, SegmentManifest

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
LONGEST_WAIT_FOR_HUMAN_SECONDS = 300.0
WORKERS = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploaderStatistics:
    """Segments and bytes since the start, and what waits now."""

    stored: int
    stored_bytes: int
    failures: int
    """Attempts that failed; each is tried again."""
    dropped: int
    dropped_bytes: int
    dropped_spans: int
    """Spans whose references lead nowhere now."""
    waiting: int
    waiting_bytes: int


class Uploader:
    """A line of sealed segments and the threads that work it off, oldest first.

    ``now_ns`` is CLOCK_BOOTTIME in nanoseconds, for the times of outcomes. Threads start with
    ``start()``, so that the object may be made before privileges are dropped. Segments that wait for
    another store than this one are kept, and are the first to go when room is needed.
    """

    def __init__(self, store: ObjectStore, *, now_ns: Callable[[], int]) -> None:
        self._store = store
        self._now_ns = now_ns
        self._changed = threading.Condition()
        self._waiting: deque[SealedSegment] = deque()
        self._stranded: deque[SealedSegment] = deque()
        self._active = 0
        self._outcomes: deque[UploadOutcome] = deque()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._consecutive_failures = 0
        self._not_before = 0.0
        self._stored = 0
        self._stored_bytes = 0
        self._failures = 0
        self._dropped = 0
        self._dropped_bytes = 0
        self._dropped_spans = 0
        self._delivery = Condition(logger, "otel_qtap.store.delivery")
        self.disk_bytes = 0
        """What all segments here take on the local disk. Read without a lock on the hot path."""

    def start(self) -> None:
        """Start the threads."""
        for number in range(WORKERS):
            thread = threading.Thread(target=self._work, name=f"upload-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, segment: SealedSegment) -> None:
        """Put a segment at the end of the line."""
        with self._changed:
            self.disk_bytes += segment.disk_bytes
            if segment.manifest.store_url == self._store.url:
                self._waiting.append(segment)
                self._changed.notify()
            else:
                self._stranded.append(segment)

    @property
    def delivery(self) -> State:
        """Not well from a failed attempt until the next success."""
        return self._delivery.state

    @property
    def healthy(self) -> bool:
        """Whether the last attempt succeeded."""
        return self._delivery.well

    @property
    def stranded(self) -> int:
        """Segments that wait for another store than this one."""
        return len(self._stranded)

    def drop_oldest(self, reason: str) -> bool:
        """Give up the oldest segment that no thread works on; false when there is none."""
        with self._changed:
            line = self._stranded or self._waiting
            if not line:
                return False
            # Failed segments go to the end of the line, so its head need not be the oldest.
            segment = min(line, key=lambda candidate: candidate.manifest.segment_id)
            line.remove(segment)
            self._forget(segment)
        self.announce_drop(segment.manifest, segment.size, segment.spans(), reason=reason)
        segment.delete()
        return True

    def announce_drop(
        self, manifest: SegmentManifest, size: int, spans: tuple[SpanTarget, ...], *, reason: str
    ) -> None:
        """Count a segment as lost, and tell which spans refer to it."""
        now = self._now_ns()
        dropped = SegmentDropped(
            upload=manifest.upload,
            uri=manifest.uri,
            size=size,
            reason=reason,
            start_ns=now,
            end_ns=now,
            spans=spans,
        )
        with self._changed:
            self._dropped += 1
            self._dropped_bytes += size
            self._dropped_spans += len(spans)
            self._outcomes.append(dropped)

    def outcomes(self) -> list[UploadOutcome]:
        """What became of segments since the last call. Does not block."""
        outcomes = []
        while self._outcomes:
            outcomes.append(self._outcomes.popleft())
        return outcomes

    def shutdown(self, deadline_seconds: float) -> bool:
        """Try everything once more, wait at most so long, stop. True when nothing waits for this store.

        What is left stays on the disk for the next start.
        """
        deadline = time.monotonic() + deadline_seconds
        with self._changed:
            self._not_before = 0.0
            self._consecutive_failures = 0
            self._changed.notify_all()
            while (self._waiting or self._active) and self._threads:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            self._stopping = True
            self._changed.notify_all()
            done = not self._waiting and not self._active
        if done:
            for thread in self._threads:
                thread.join()
        return done

    def statistics(self) -> UploaderStatistics:
        """The counts so far."""
        with self._changed:
            return UploaderStatistics(
                stored=self._stored,
                stored_bytes=self._stored_bytes,
                failures=self._failures,
                dropped=self._dropped,
                dropped_bytes=self._dropped_bytes,
                dropped_spans=self._dropped_spans,
                waiting=len(self._waiting) + len(self._stranded) + self._active,
                waiting_bytes=self.disk_bytes,
            )

    def _work(self) -> None:
        while (segment := self._next()) is not None:
            start_ns = self._now_ns()
            try:
                stored = self._store.put(segment.manifest.key, segment.path, segment.size)
            except StoreError as error:
                self._failed(segment, error)
                continue
            except Exception as error:  # a store's bug must not end the thread
                self._failed(
                    segment, StoreError(f"{self._store.url}: {type(error).__name__}", retryable=False)
                )
                continue
            outcome = SegmentStored(
                upload=segment.manifest.upload,
                uri=segment.manifest.uri,
                key=stored.key,
                bucket=stored.bucket,
                size=segment.size,
                records=segment.manifest.records,
                start_ns=start_ns,
                end_ns=self._now_ns(),
                request_id=stored.request_id,
                region=stored.region,
            )
            segment.delete()
            self._succeeded(segment, outcome)

    def _next(self) -> SealedSegment | None:
        """The next segment, when it is time for it; None when the work is over."""
        with self._changed:
            while not self._stopping:
                pause = self._not_before - time.monotonic()
                if self._waiting and pause <= 0:
                    self._active += 1
                    return self._waiting.popleft()
                self._changed.wait(pause if self._waiting else None)
            return None

    def _succeeded(self, segment: SealedSegment, outcome: SegmentStored) -> None:
        with self._changed:
            self._active -= 1
            self._forget(segment)
            self._stored += 1
            self._stored_bytes += segment.size
            self._outcomes.append(outcome)
            self._consecutive_failures = 0
            self._not_before = 0.0
            self._changed.notify_all()
        self._delivery.recover("object store %s takes segments again", self._store.url)

    def _failed(self, segment: SealedSegment, error: StoreError) -> None:
        if not segment.path.exists():
            # Not the store's fault, and trying again cannot help.
            self.announce_drop(segment.manifest, segment.size, segment.spans(), reason="disk_error")
            segment.delete()
            with self._changed:
                self._active -= 1
                self._forget(segment)
                self._changed.notify_all()
            return
        longest = LONGEST_WAIT_SECONDS if error.retryable else LONGEST_WAIT_FOR_HUMAN_SECONDS
        with self._changed:
            self._active -= 1
            self._waiting.append(segment)
            self._failures += 1
            wait = min(longest, FIRST_WAIT_SECONDS * 2.0 ** min(self._consecutive_failures, 16))
            self._consecutive_failures += 1
            # Spread, so that a fleet does not come back all at once.
            self._not_before = time.monotonic() + wait * random.uniform(0.5, 1.0)  # noqa: S311
            self._changed.notify_all()
        self._delivery.fail(str(error), "%s; segments are kept on the local disk and tried again", error)

    def _forget(self, segment: SealedSegment) -> None:
        self.disk_bytes -= segment.disk_bytes
