# SPDX-License-Identifier: Apache-2.0
"""What was said on a connection, in byte order. Times are CLOCK_BOOTTIME nanoseconds."""

from dataclasses import dataclass

from otel_qtap.model.identity import ConnectionId, Direction


@dataclass(slots=True)
class BytesReceived:
    """The next bytes of one direction; ``position`` is the stream offset of the first."""

    connection: ConnectionId
    direction: Direction
    position: int
    data: bytes
    started_ns: int
    """When the TLS call that carried them was entered."""
    timestamp_ns: int
    """When it returned."""


@dataclass(slots=True)
class GapDetected:
    """The next ``length`` bytes of one direction were not captured."""

    connection: ConnectionId
    direction: Direction
    position: int
    length: int
    timestamp_ns: int


@dataclass(slots=True)
class DirectionEnded:
    """No more bytes will come in this direction."""

    connection: ConnectionId
    direction: Direction
    timestamp_ns: int


@dataclass(slots=True)
class ConnectionEnded:
    """The connection is over, in both directions.

    ``reason``: ``ssl_free``, ``socket_closed``, ``replaced``, ``process_exit``, ``idle``,
    ``evicted`` or ``agent_stopped``.
    """

    connection: ConnectionId
    timestamp_ns: int
    reason: str
    egress_position: int = 0
    ingress_position: int = 0
    """Bytes that went by in all, as far as is known."""


StreamEvent = BytesReceived | GapDetected | DirectionEnded | ConnectionEnded
