# SPDX-License-Identifier: Apache-2.0
"""Process facts, joined to connections as they arrive.

The kernel's events and the supervisor's facts come by different ways. A connection that is seen
first gets what its own event tells (command, user) until the facts are here.
"""

from collections.abc import Callable

from otel_qtap.model.events import ConnectionObserved
from otel_qtap.model.identity import ConnectionContext, ProcessFacts, ProcessId

NS_PER_TICK = 10_000_000
"""/proc tells start times in 1/100 s (USER_HZ); the kernel's events tell them exactly."""

ProcessKey = tuple[int, int]
_MAX_PROCESSES = 65536
_MAX_ENDED = 1024
"""Processes that are remembered when they have ended, for what was still on its way."""


def process_key(tgid: int, start_time_ns: int) -> ProcessKey:
    """A key on which /proc and kernel events agree."""
    return tgid, start_time_ns // NS_PER_TICK


class Workloads:
    """What is known of processes. ``allows`` decides for those whose facts never come."""

    def __init__(self, allows: Callable[[ProcessFacts], bool]) -> None:
        self._allows = allows
        self._known: dict[ProcessKey, tuple[ProcessFacts, bool]] = {}
        self._ended: dict[ProcessKey, None] = {}

    def choose(self, allows: Callable[[ProcessFacts], bool]) -> None:
        """Decide by this from now on; known processes keep the verdict that came with their facts."""
        self._allows = allows

    def learn(self, facts: ProcessFacts, *, allowed: bool) -> ProcessKey:
        """Take facts over; returns the key of their process."""
        key = process_key(*facts.process)
        if len(self._known) >= _MAX_PROCESSES:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (facts, allowed)
        self._ended.pop(key, None)  # it runs another program now
        return key

    def end(self, process: ProcessId) -> None:
        """This process is gone; what is known of it may be forgotten before long."""
        key = process_key(*process)
        if key not in self._known:
            return
        self._ended[key] = None
        if len(self._ended) > _MAX_ENDED:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._known.pop(oldest, None)

    def is_known(self, key: ProcessKey) -> bool:
        """Whether the supervisor's facts have come."""
        return key in self._known

    def verdict(self, connection: ConnectionContext) -> bool:
        """Whether the user's selectors allow the process of this connection."""
        known = self._known.get(process_key(*connection.id.process))
        return known[1] if known else self._allows(connection.facts)

    def context(self, observed: ConnectionObserved) -> ConnectionContext:
        """The context of a connection, by what is known now."""
        return ConnectionContext(
            id=observed.connection,
            role=observed.role,
            local=observed.local,
            remote=observed.remote,
            peer_source=observed.peer_source,
            tls_library=observed.tls_library,
            handshake_seen=observed.handshake_seen,
            client_random=observed.client_random,
            from_handshake=observed.from_handshake,
            facts=self.facts_of(observed.connection.process, observed.command, observed.user_id),
        )

    def facts_of(self, process: ProcessId, command: str, user_id: int) -> ProcessFacts:
        """What is known of a process, or what the kernel side says of it where its facts have not come."""
        known = self._known.get(process_key(*process))
        if known:
            return known[0]
        return ProcessFacts(
            process=process,
            command=command,
            user_id=user_id,
            service_name=command or "unknown_service",
        )
