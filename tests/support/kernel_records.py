# SPDX-License-Identifier: Apache-2.0
"""Records as the kernel side writes them into its rings, for tests without a kernel."""

import socket
from dataclasses import dataclass, field

from otel_qtap.capture.records import (
    CONNECTION,
    CONNECTION_HEADER,
    DATA_HEADER,
    FROM_HANDSHAKE,
    HANDSHAKE_SEEN,
    Kind,
)
from otel_qtap.model.identity import ConnectionId, Direction, ProcessId, Role

PROCESS_START_NS = 1_000_000_000


@dataclass(slots=True)
class KernelConnection:
    """One TLS connection of one process; what is said on it becomes records."""

    number: int
    tgid: int = 4711
    role: Role = Role.SERVER
    now_ns: int = 2_000_000_000
    client_random: bytes = bytes(16)
    from_handshake: bool = False
    positions: dict[Direction, int] = field(default_factory=lambda: dict.fromkeys(Direction, 0))

    @property
    def id(self) -> ConnectionId:
        """As the agent knows it."""
        return ConnectionId(self.tgid, PROCESS_START_NS, 0xAB00 + self.number, 1)

    @property
    def process(self) -> ProcessId:
        """Its process."""
        return self.id.process

    def data(self, direction: Direction, data: bytes) -> bytes:
        """A call of the TLS library that carried ``data``; it took 1 µs and ended 1 µs after the last."""
        position = self.positions[direction]
        self.positions[direction] += len(data)
        self.now_ns += 1000
        header = DATA_HEADER.pack(
            Kind.DATA, direction, self.now_ns, self.now_ns - 1000, position, len(data), len(data)
        )
        return header + self._facts() + data

    def handshake_bytes(self, direction: Direction, data: bytes) -> bytes:
        """A send or receive of handshake records."""
        self.now_ns += 1000
        header = DATA_HEADER.pack(
            Kind.HANDSHAKE_BYTES, direction, self.now_ns, self.now_ns, 0, len(data), len(data)
        )
        return header + self._facts() + data

    def handshake(self) -> bytes:
        """A call about the handshake alone ended, 2 µs after it began."""
        self.now_ns += 2000
        return (
            CONNECTION_HEADER.pack(Kind.HANDSHAKE, 0, self.now_ns, self.now_ns - 2000, 0, 0) + self._facts()
        )

    def closed(self) -> bytes:
        """The TLS object was freed."""
        self.now_ns += 1000
        egress, ingress = self.positions[Direction.EGRESS], self.positions[Direction.INGRESS]
        header = CONNECTION_HEADER.pack(Kind.CONNECTION_CLOSED, 1, self.now_ns, self.now_ns, egress, ingress)
        return header + self._facts()

    def _facts(self) -> bytes:
        _, start_ns, handle, generation = self.id
        flags = HANDSHAKE_SEEN | (FROM_HANDSHAKE if self.from_handshake else 0)
        local, remote = socket.inet_aton("10.0.0.7"), socket.inet_aton("10.0.0.1")
        return CONNECTION.pack(
            start_ns, handle, generation, self.tgid, 33, local, remote, 443, 40000 + self.number,
            socket.AF_INET, 0, self.role, 1, 1, flags, self.client_random, b"nginx",
        )  # fmt: skip
