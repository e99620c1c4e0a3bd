# SPDX-License-Identifier: Apache-2.0
"""Facts of handshakes that wait for their event, within bounds.

Most are told in the moment in which they are known. Connections that are made and carry nothing wait as long
as they are there, and what their clients offered is large where they want it to be.
"""

from collections import OrderedDict

from otel_qtap.handshake.sizes import size_of
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import ConnectionId


class UntoldFacts:
    """Keeps facts by connection; where they take more than ``max_bytes`` the oldest go."""

    def __init__(self, max_bytes: int = 8 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._facts: OrderedDict[ConnectionId, tuple[HandshakeFacts, int]] = OrderedDict()
        self._bytes = 0
        self.dropped = 0
        """Handshakes whose facts went before they were told."""

    def keep(self, connection: ConnectionId, facts: HandshakeFacts) -> None:
        """Keep what is known of a connection's handshake, in the place of what was known before."""
        self.take(connection)
        size = size_of(facts)
        self._facts[connection] = facts, size
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, size) = self._facts.popitem(last=False)
            self._bytes -= size
            self.dropped += 1

    def take(self, connection: ConnectionId) -> HandshakeFacts | None:
        """What is known of a connection's handshake; it is kept no longer."""
        facts, size = self._facts.pop(connection, (None, 0))
        self._bytes -= size
        return facts

    def __len__(self) -> int:
        return len(self._facts)
