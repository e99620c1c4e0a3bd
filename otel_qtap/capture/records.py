# SPDX-License-Identifier: Apache-2.0
"""Mirrors of bpf/include/qtap_events.h; tests/bpf/test_layout.py compares them with the compiler's view."""

from enum import IntEnum
from struct import Struct
from typing import NamedTuple


class Kind(IntEnum):
    """enum qtap_kind."""

    DATA = 1
    HANDSHAKE = 2
    DIRECTION_CLOSED = 3
    CONNECTION_CLOSED = 4
    PROCESS_EXITED = 5
    FILE_MAPPED = 6
    PROCESS_SEEN = 7
    HANDSHAKE_BYTES = 8
    PROCESS_SPEAKS_TLS = 9
    PROCESS_UNBOUND = 10
    PROCESS_CROWDED = 11


KIND = Struct("<I")
"""What every record of data and control ring begins with."""
CLOSE_REASONS = {1: "ssl_free", 2: "socket_closed", 3: "replaced"}
HANDSHAKE_SEEN = 1
FROM_HANDSHAKE = 2
UNCOUNTED = 4

DATA_HEADER = Struct("<IIQQQII")
"""kind, direction, timestamp_ns, started_ns, position, size, captured"""
CAPTURED = Struct("<I")
CAPTURED_OFFSET = 36
"""Where the last of these is."""
CONNECTION_HEADER = Struct("<IIQQQQ")
"""kind, reason, timestamp_ns, started_ns, egress_position, ingress_position"""
RANDOM_BYTES = 16
"""QTAP_RANDOM_BYTES: as much of a hello's random as is kept."""
CONNECTION = Struct("<QQQII16s16sHHHHBBBB4x16s16s")
"""struct qtap_connection"""
CONNECTION_OFFSET = 40
CONNECTION_BYTES = CONNECTION.size
DATA_OFFSET = CONNECTION_OFFSET + CONNECTION_BYTES
DATA_RECORD = Struct(f"{DATA_HEADER.format}{CONNECTION_BYTES}s")
"""The fields of DATA_HEADER and, as they are, the bytes of struct qtap_connection."""
assert DATA_RECORD.size == DATA_OFFSET
PROCESS = Struct("<IIQQQII16s")
"""struct qtap_process_event"""

SPEAKER = Struct("<QQQQQQ")
"""struct qtap_speaker"""


class Speaker(NamedTuple):
    """What the map ``speaking_processes`` holds of a process of which a hello was seen."""

    process_start_ns: int
    called_ns: int
    """When a call of a probed TLS library was first seen in it; 0: none so far."""
    hellos: int
    """ClientHellos that it sent or received, each once a connection."""
    relayed: int
    """Of these, those that it passed on from one connection to another: sent and received count."""
    captured: int
    """Connections with a hello that ended and of which plaintext was captured."""
    missed: int
    """Those of which none was, though they carried more than a handshake; since the first call."""


HELLO = Struct("<Q16sIHHBBBBBB2x")
"""struct qtap_hello"""


class SocketHello(NamedTuple):
    """What the map ``hellos`` holds of a socket through which a hello went."""

    seen_ns: int
    client_random: bytes
    tgid: int
    """Of the process that sent or received it; 0: only the answer was seen."""
    local_port: int
    remote_port: int
    role: int
    captured: int
    """Whether plaintext of this connection was captured."""
    relayed: int
    """Whether the process passes on what others say to each other."""
    answered: int
    claimed: int
    asked: int
    """Whether the client sent application data."""


class ProcessNotice(NamedTuple):
    """What the supervisor is told: a process was seen with TLS, mapped a file, carries plaintext of which the
    socket is not known, or is gone."""

    kind: Kind
    tgid: int
    start_time_ns: int
    timestamp_ns: int
    inode: int
    device: int
    """Kernel form: major << 20 | minor."""
    user_id: int
    command: str


def process_notice(record: bytes | memoryview, offset: int = 0) -> ProcessNotice:
    """Decode one record of the process ring."""
    kind, tgid, start_ns, timestamp_ns, inode, device, uid, command = PROCESS.unpack_from(record, offset)
    return ProcessNotice(Kind(kind), tgid, start_ns, timestamp_ns, inode, device, uid, text(command))


def text(field: bytes) -> str:
    """A NUL-terminated char array as text; undecodable bytes are replaced."""
    return field.split(b"\0", 1)[0].decode(errors="replace")
