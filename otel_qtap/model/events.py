# SPDX-License-Identifier: Apache-2.0
"""What the kernel said. Times are CLOCK_BOOTTIME nanoseconds.

Not frozen: freezing costs 0.5 µs an object, and one is made per captured chunk.
"""

from dataclasses import dataclass

from otel_qtap.model.identity import ConnectionId, Direction, Endpoint, PeerSource, ProcessId, Role


@dataclass(slots=True)
class ConnectionObserved:
    """A connection was seen for the first time, or more is known of it than before."""

    connection: ConnectionId
    timestamp_ns: int
    role: Role
    local: Endpoint | None
    remote: Endpoint | None
    peer_source: PeerSource
    handshake_seen: bool
    command: str
    user_id: int
    tls_library: str = "openssl"
    file: int = 0
    """Number of the probed file that the TLS object belongs to; 0: not known."""
    client_random: bytes = b""
    """Bytes 8 to 23 of the ClientHello's random, which both ends of a connection see; empty: not known."""
    from_handshake: bool = False
    """Positions count every byte of plaintext since the handshake of that random."""


@dataclass(slots=True)
class DataCaptured:
    """A run of plaintext: ``size`` bytes at ``position`` of one direction, of which ``data`` is the start.

    ``len(data) < size`` means that the kernel side did not copy the rest. ``started_ns`` is when the
    TLS call was entered and ``timestamp_ns`` when it returned.
    """

    connection: ConnectionId
    direction: Direction
    position: int
    size: int
    data: bytes
    started_ns: int
    timestamp_ns: int


@dataclass(slots=True)
class HandshakeCompleted:
    """A TLS handshake ended well on this connection."""

    connection: ConnectionId
    timestamp_ns: int
    started_ns: int


@dataclass(slots=True)
class HandshakeCaptured:
    """Handshake records that went through a socket in clear, of any process, captured otherwise or not.

    ``data`` is the start of one send or receive: it begins with a record, or with a handshake message whose
    record's header was received before, and may be cut off anywhere. ``client_random`` as in
    ConnectionObserved: by process and random it belongs to a connection.
    """

    process: ProcessId
    timestamp_ns: int
    role: Role
    local: Endpoint | None
    remote: Endpoint | None
    client_random: bytes
    direction: Direction
    data: bytes
    command: str
    user_id: int
    position: int = 0
    """Bytes of the same flight that came in the receives before; ``data`` goes on where they ended."""


@dataclass(slots=True)
class DirectionClosed:
    """The process will write no more (SSL_shutdown); ``position`` bytes were written in all."""

    connection: ConnectionId
    direction: Direction
    position: int
    timestamp_ns: int


@dataclass(slots=True)
class ConnectionClosed:
    """The TLS object, its socket or its process is gone; positions are the totals per direction."""

    connection: ConnectionId
    timestamp_ns: int
    reason: str
    """``ssl_free``, ``socket_closed`` or ``replaced``."""
    egress_position: int
    ingress_position: int


@dataclass(slots=True)
class ProcessExited:
    """A process with observed connections is gone."""

    process: ProcessId
    timestamp_ns: int


KernelEvent = (
    ConnectionObserved
    | DataCaptured
    | HandshakeCaptured
    | HandshakeCompleted
    | DirectionClosed
    | ConnectionClosed
    | ProcessExited
)
