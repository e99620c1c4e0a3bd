# SPDX-License-Identifier: Apache-2.0
"""The thread that takes requests from a spool to the collector, again and again if need be."""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from otel_qtap.conditions import Condition, State
from otel_qtap.telemetry.otlp.requests import ExportRequest, Signal, split_request
from otel_qtap.telemetry.otlp.spool import Spool
from otel_qtap.telemetry.otlp.transport import Attempt, Outcome, Transport

logger = logging.getLogger(__name__)

_SHOWN_MESSAGE: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with jitter, as OTLP demands: each wait is 50 to 100 % of a doubling limit."""

    initial_seconds: float = 1.0
    maximum_seconds: float = 30.0

    def wait_seconds(self, failures: int) -> float:
        """Seconds to wait after the ``failures``-th failure in a row (from 1)."""
        limit = min(self.maximum_seconds, self.initial_seconds * 2.0 ** min(failures - 1, 32))
        return limit * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderStatistics:
    """What became of the items of one signal. ``dropped`` counts by reason, e.g. ``400``."""

    exported: int
    rejected: int
    retries: int
    dropped: Mapping[str, int]
    waiting: int
    healthy: bool
    last_error: str


@dataclass(slots=True)
class _Counts:
    exported: int = 0
    rejected: int = 0
    retries: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Sender:
    """Delivers what is in ``spool`` through ``transport``, in order, one request at a time.

    Failures are logged once when they begin and once when they end, without anything of the request.
    """

    def __init__(
        self,
        *,
        signal: Signal,
        spool: Spool,
        transport: Transport,
        destination: str,
        timeout_seconds: float | None,
        backoff: Backoff | None = None,
        observe_attempt: Callable[[float, str], None] = lambda _seconds, _error: None,
    ) -> None:
        self._signal = signal
        self._spool = spool
        self._transport = transport
        self._destination = destination
        self._timeout_seconds = timeout_seconds
        self._backoff = backoff or Backoff()
        self._observe_attempt = observe_attempt
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"otlp-{signal}-sender", daemon=True)
        self._counts = _Counts()
        self._delivery = Condition(logger, "otel_qtap.collector.delivery")
        self._acceptance = Condition(logger, "otel_qtap.collector.acceptance")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout_seconds: float) -> None:
        """Stop after the attempt that is under way; what then waits in the spool is left there."""
        self._stopping.set()
        self._spool.close()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        if not self._thread.is_alive():
            self._transport.close()

    @property
    def settled(self) -> int:
        """Items that were delivered or given up, ever: a sum of ``statistics``, without its cost."""
        counts = self._counts
        return counts.exported + counts.rejected + counts.refused.total() + self._spool.dropped_items

    def statistics(self) -> SenderStatistics:
        """Return the counts so far."""
        dropped = dict(self._counts.refused)
        if overflow := self._spool.dropped_items:
            dropped["spool_full"] = overflow
        return SenderStatistics(
            exported=self._counts.exported,
            rejected=self._counts.rejected,
            retries=self._counts.retries,
            dropped=MappingProxyType(dropped),
            waiting=self._spool.waiting_items,
            healthy=self._delivery.well,
            last_error=self._delivery.state.reason,
        )

    @property
    def delivery(self) -> State:
        """Whether the collector took the last request, and since when."""
        return self._delivery.state

    def _run(self) -> None:
        while (request := self._spool.take()) is not None:
            if self._deliver(request):
                self._spool.ack()

    def _deliver(self, request: ExportRequest) -> bool:
        """Send until the request is settled; False if the sender was stopped before."""
        parts = [request]
        failures = 0
        while parts:
            started = time.monotonic()
            attempt = self._transport.send(parts[-1].body, self._timeout_seconds)
            self._observe_attempt(
                time.monotonic() - started, "" if attempt.outcome is Outcome.DELIVERED else attempt.reason
            )
            if attempt.outcome is Outcome.RETRY:
                failures += 1
                self._counts.retries += 1
                self._note_failure(attempt.reason)
                wait = attempt.retry_after
                if self._stopping.wait(self._backoff.wait_seconds(failures) if wait is None else wait):
                    return False
                continue
            failures = 0
            part = parts.pop()
            if attempt.outcome is Outcome.DELIVERED:
                self._note_delivery(part, attempt)
            elif (
                attempt.outcome is Outcome.TOO_LARGE and part.items > 1 and self._signal is not Signal.METRICS
            ):
                # Requests with metrics are small, and their items are the points within metrics.
                parts.extend(reversed(split_request(part)))
            else:
                self._counts.refused[attempt.reason] += part.items
                self._note_failure(attempt.reason)
        return True

    def _note_delivery(self, request: ExportRequest, attempt: Attempt) -> None:
        rejected = min(attempt.rejected, request.items)
        self._counts.exported += request.items - rejected
        self._counts.rejected += rejected
        self._delivery.recover("OTLP %s: %s takes requests again", self._signal, self._destination)
        if rejected or attempt.message:
            shown = ascii(attempt.message[:_SHOWN_MESSAGE])  # a peer's text: no control characters
            self._acceptance.fail(
                "items rejected",
                "OTLP %s: %s rejected %d items: %s",
                self._signal,
                self._destination,
                rejected,
                shown,
            )
        else:
            self._acceptance.recover("OTLP %s: %s takes all items again", self._signal, self._destination)

    def _note_failure(self, reason: str) -> None:
        self._delivery.fail(
            reason, "OTLP %s: %s does not take requests (%s)", self._signal, self._destination, reason
        )
