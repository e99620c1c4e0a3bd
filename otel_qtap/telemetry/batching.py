# SPDX-License-Identifier: Apache-2.0
"""Encoded items wait here until a request is full or due (OTEL_BSP_*, OTEL_BLRP_*).

One thread appends, the pipeline's; joining items into requests happens on a thread of its own.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from otel_qtap.telemetry.limits import BatchLimits
from otel_qtap.telemetry.otlp.requests import ExportRequest, Group, Signal, export_request

MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024 - 64 * 1024
"""gRPC servers take 4 MiB by default; the rest is room for framing."""


class BatchQueue:
    """A bounded queue of encoded items; ``put_request`` gets each request that is made of them.

    ``on_schedule`` is called on the thread at every wake-up.
    """

    def __init__(
        self,
        *,
        signal: Signal,
        limits: BatchLimits,
        put_request: Callable[[ExportRequest], None],
        on_schedule: Callable[[], None] = lambda: None,
    ) -> None:
        self._capacity = limits.max_queue_size
        self._batch_size = min(limits.max_export_batch_size, limits.max_queue_size)
        # No delay at all means that each item is sent at once, not that the thread spins.
        self._wake_at = self._batch_size if limits.schedule_delay_ms else 1
        self._delay_seconds = limits.schedule_delay_ms / 1000 or None
        self._put_request = put_request
        self._on_schedule = on_schedule
        self._draining = threading.Lock()
        self._items: deque[tuple[Group, bytes]] = deque()
        self._accepted = 0
        self._dropped = 0
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"otlp-{signal}-batcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def append(self, group: Group, item: bytes) -> bool:
        """Queue one framed item; False if the queue is full, which is counted. One thread calls this."""
        waiting = len(self._items)
        if waiting >= self._capacity:
            self._dropped += 1
            return False
        # Without a lock: others only take, so that what was counted can but have become less.
        self._items.append((group, item))
        self._accepted += 1
        if waiting + 1 == self._wake_at:
            self._wake.set()
        return True

    def drain(self, *, only_full: bool = False) -> None:
        """Make requests of everything queued, or of full batches only. Any thread may call this."""
        with self._draining:
            while len(self._items) >= (self._batch_size if only_full else 1):
                self._put_request(export_request(self._next_batch()))

    def stop(self) -> None:
        """Stop the thread, with everything queued made into requests."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self.drain()

    @property
    def waiting(self) -> int:
        """Items in the queue."""
        return len(self._items)

    @property
    def capacity(self) -> int:
        """Most items that the queue holds."""
        return self._capacity

    @property
    def accepted(self) -> int:
        """Items ever queued."""
        return self._accepted

    @property
    def dropped(self) -> int:
        """Items ever refused because the queue was full."""
        return self._dropped

    def _next_batch(self) -> list[tuple[Group, bytes]]:
        batch: list[tuple[Group, bytes]] = []
        size = 0
        groups: set[int] = set()
        # Without a lock: others only append, and only the holder of ``_draining`` takes.
        while self._items and len(batch) < self._batch_size:
            group, item = self._items[0]
            size += len(item) + (0 if id(group) in groups else group.size)
            if batch and size > MAX_REQUEST_BYTES:
                break
            groups.add(id(group))
            batch.append(self._items.popleft())
        return batch

    def _run(self) -> None:
        while not self._stopping:
            due = not self._wake.wait(self._delay_seconds)
            self._wake.clear()
            self._on_schedule()
            self.drain(only_full=not due and self._wake_at > 1)
