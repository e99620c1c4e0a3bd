# SPDX-License-Identifier: Apache-2.0
"""Kernel bytes to KernelEvents. Pure: knows neither rings nor files.

Every record carries the whole of its connection's facts. They are decoded only when they differ
from what was seen before, which one dictionary look-up of the raw bytes tells.
"""

import socket
from ipaddress import IPv6Address

from otel_qtap.capture.records import (
    CLOSE_REASONS,
    CONNECTION,
    CONNECTION_BYTES,
    CONNECTION_HEADER,
    DATA_OFFSET,
    DATA_RECORD,
    FROM_HANDSHAKE,
    HANDSHAKE_SEEN,
    RANDOM_BYTES,
    UNCOUNTED,
    Kind,
    text,
)
from otel_qtap.model.events import (
    ConnectionClosed,
    ConnectionObserved,
    DataCaptured,
    DirectionClosed,
    HandshakeCaptured,
    HandshakeCompleted,
    KernelEvent,
    ProcessExited,
)
from otel_qtap.model.identity import ConnectionId, Direction, Endpoint, PeerSource, ProcessId, Role
from otel_qtap.probes.registry import LIBRARIES

_DATA = Kind.DATA.value  # members of an enum cost several times an integer
_unpack = DATA_RECORD.unpack_from
_PEER_SOURCES = (
    PeerSource.NONE,
    PeerSource.NESTED_SYSCALL,
    PeerSource.HELLO_RANDOM,
    PeerSource.CIPHERTEXT,
    PeerSource.DESCRIPTOR,
)
_NO_RANDOM = bytes(RANDOM_BYTES)
_LIBRARY_NAMES = {library.library_id: library.name for library in LIBRARIES}
_DIRECTIONS = (Direction.EGRESS, Direction.INGRESS)
_MAX_KNOWN = 65536


class Decoder:
    """Decodes records one by one; remembers which connections were announced.

    Events are appended to ``events``: the caller takes and clears the list.
    """

    def __init__(self) -> None:
        self.events: list[KernelEvent] = []
        self.malformed = 0
        self._known: dict[bytes, ConnectionId] = {}

    def decode(self, record: memoryview, offset: int, size: int) -> None:
        """Decode ``size`` bytes at ``offset``. A record that makes no sense is counted and skipped."""
        if size < DATA_OFFSET:
            self.malformed += 1
            return
        kind, second, timestamp, started, position, length, captured, facts = _unpack(record, offset)
        if kind == _DATA:
            if second > 1 or captured > size - DATA_OFFSET:
                self.malformed += 1
                return
            connection = self._known.get(facts)
            if connection is None:
                connection = self._observe(facts, timestamp)
            start = offset + DATA_OFFSET
            data = record[start : start + captured].tobytes()
            self.events.append(
                DataCaptured(connection, _DIRECTIONS[second], position, length, data, started, timestamp)
            )
            return
        if kind == Kind.HANDSHAKE_BYTES:
            if second > 1 or captured > size - DATA_OFFSET:
                self.malformed += 1
                return
            start = offset + DATA_OFFSET
            flight = record[start : start + captured].tobytes()
            self._handshake(facts, timestamp, _DIRECTIONS[second], flight, position)
            return
        self._decode_control(facts, CONNECTION_HEADER.unpack_from(record, offset))

    def _decode_control(self, facts: bytes, header: tuple[int, ...]) -> None:
        kind, reason, timestamp, started, egress, ingress = header
        if kind == Kind.PROCESS_EXITED:
            start_ns, _, _, tgid, *_ = CONNECTION.unpack_from(facts)
            process = ProcessId(tgid, start_ns)
            self._known = {f: c for f, c in self._known.items() if c.process != process}
            self.events.append(ProcessExited(process, timestamp))
            return
        connection = self._known.get(facts) or self._observe(facts, timestamp)
        if kind == Kind.HANDSHAKE:
            self.events.append(HandshakeCompleted(connection, timestamp, started))
        elif kind == Kind.DIRECTION_CLOSED:
            closed = Direction.INGRESS if reason else Direction.EGRESS
            position = ingress if reason else egress
            self.events.append(DirectionClosed(connection, closed, position, timestamp))
        elif kind == Kind.CONNECTION_CLOSED:
            why = CLOSE_REASONS.get(reason, "unknown")
            self.events.append(ConnectionClosed(connection, timestamp, why, egress, ingress))
            self._known.pop(facts, None)
        else:
            self.malformed += 1

    def _handshake(
        self, facts: bytes, timestamp_ns: int, direction: Direction, data: bytes, position: int
    ) -> None:
        (
            start_ns, _, _, tgid, user_id, local, remote, local_port, remote_port,
            family, _, role, _, _, _, client_random, command,
        ) = CONNECTION.unpack(facts)  # fmt: skip
        self.events.append(
            HandshakeCaptured(
                ProcessId(tgid, start_ns),
                timestamp_ns,
                Role(role) if role <= Role.SERVER else Role.UNKNOWN,
                _endpoint(family, local, local_port),
                _endpoint(family, remote, remote_port),
                b"" if client_random == _NO_RANDOM else client_random,
                direction,
                data,
                text(command),
                user_id,
                position,
            )
        )

    def _observe(self, facts: bytes, timestamp_ns: int) -> ConnectionId:
        (
            start_ns, handle, generation, tgid, user_id, local, remote, local_port, remote_port,
            family, file, role, source, library, flags, client_random, command,
        ) = CONNECTION.unpack(facts)  # fmt: skip
        connection = ConnectionId(tgid, start_ns, handle, generation)
        if len(self._known) >= _MAX_KNOWN:  # only connections whose end was lost stay this long
            self._known.clear()
        self._known[facts] = connection
        self.events.append(
            ConnectionObserved(
                connection,
                timestamp_ns,
                Role(role) if role <= Role.SERVER else Role.UNKNOWN,
                _endpoint(family, local, local_port),
                _endpoint(family, remote, remote_port),
                _PEER_SOURCES[source] if source < len(_PEER_SOURCES) else PeerSource.NONE,
                bool(flags & HANDSHAKE_SEEN),
                text(command),
                user_id,
                tls_library=_LIBRARY_NAMES.get(library, ""),
                file=file,
                client_random=b"" if client_random == _NO_RANDOM else client_random,
                from_handshake=flags & (FROM_HANDSHAKE | UNCOUNTED) == FROM_HANDSHAKE,
            )
        )
        return connection


def _endpoint(family: int, address: bytes, port: int) -> Endpoint | None:
    if family == socket.AF_INET:
        return Endpoint(socket.inet_ntop(socket.AF_INET, address[:4]), port)
    if family == socket.AF_INET6:
        mapped = IPv6Address(address).ipv4_mapped
        return Endpoint(str(mapped or IPv6Address(address)), port)
    return None


assert CONNECTION_BYTES == 112
