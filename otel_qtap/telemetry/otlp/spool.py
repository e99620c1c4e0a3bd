# SPDX-License-Identifier: Apache-2.0
"""Where encoded requests wait until the collector took them."""

import threading
from collections import deque
from typing import Final, Protocol

from isal import isal_zlib

from otel_qtap.telemetry.otlp.requests import ExportRequest

DEFAULT_SPOOL_BYTES: Final = 16 * 1024 * 1024


class Spool(Protocol):
    """A bounded queue of requests. ``take`` hands out the oldest, which stays in the spool until ``ack``.

    When full, the oldest waiting request makes room and its items are counted in ``dropped_items``.
    One thread takes; any thread puts.
    """

    def put(self, request: ExportRequest) -> None:
        """Add the newest request."""

    def take(self) -> ExportRequest | None:
        """Return the oldest request, waiting for one; None once ``close`` was called."""

    def ack(self) -> None:
        """Forget the request that was taken last: it was delivered, or given up."""

    def wait_empty(self, timeout_seconds: float) -> bool:
        """Wait until nothing is left; return whether that is so."""

    def close(self) -> None:
        """Make ``take`` return None from now on; what waits is kept."""

    @property
    def waiting_items(self) -> int:
        """Items in the spool, those of the request that was taken included."""

    @property
    def dropped_items(self) -> int:
        """Items dropped for want of room, ever."""


class MemorySpool:
    """A spool in memory, for at most ``max_bytes``. What has to wait is kept compressed."""

    def __init__(self, max_bytes: int = DEFAULT_SPOOL_BYTES) -> None:
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._waiting: deque[tuple[bytes, int, bool]] = deque()
        self._taken: ExportRequest | None = None
        self._bytes = 0
        self._items = 0
        self._dropped = 0
        self._closed = False

    def put(self, request: ExportRequest) -> None:
        """Add the newest request; see ``Spool.put``."""
        # A sender that keeps up finds requests as they are; only a backlog is worth compressing.
        behind = self._taken is not None
        body = isal_zlib.compress(request.body, 1) if behind else request.body
        with self._changed:
            while self._waiting and self._bytes + len(body) > self._max_bytes:
                oldest, items, _ = self._waiting.popleft()
                self._bytes -= len(oldest)
                self._items -= items
                self._dropped += items
            self._waiting.append((body, request.items, behind))
            self._bytes += len(body)
            self._items += request.items
            self._changed.notify_all()

    def take(self) -> ExportRequest | None:
        """Return the oldest request; see ``Spool.take``."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            body, items, compressed = self._waiting.popleft()
            self._bytes -= len(body)
            self._taken = ExportRequest(isal_zlib.decompress(body) if compressed else body, items)
            return self._taken

    def ack(self) -> None:
        """Forget the request that was taken last."""
        with self._changed:
            if self._taken is not None:
                self._items -= self._taken.items
                self._taken = None
                self._changed.notify_all()

    def close(self) -> None:
        """Make ``take`` return None from now on; what waits is kept."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_empty(self, timeout_seconds: float) -> bool:
        """Wait until nothing is left; see ``Spool.wait_empty``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._items == 0, timeout_seconds)

    @property
    def waiting_items(self) -> int:
        """Items in the spool, those of the request that was taken included."""
        return self._items

    @property
    def dropped_items(self) -> int:
        """Items dropped for want of room, ever."""
        return self._dropped
