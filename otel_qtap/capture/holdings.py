# SPDX-License-Identifier: Apache-2.0
"""How much of the maps that all processes share each of them has: none may take the room of all others.

The kernel side counts up what a process makes and refuses it more than its share. What the maps forgot by
themselves, and what is removed here, only the supervisor can tell.
"""

import contextlib
import struct
from collections import Counter
from typing import NamedTuple

from otel_qtap.capture.leftovers import process_of
from otel_qtap.capture.records import CONNECTION_BYTES
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_definition, map_delete, map_items, map_lookup, map_update

_CROWDED = 4
"""Half of a share (QTAP_SHARE, QTAP_CALLS_SHARE): of a process with this part of a map, what is over goes."""
_PROCESS = struct.Struct("<I")
_HOLDING = struct.Struct("<qqQ")
"""struct qtap_holding"""
_TIME = struct.Struct("<Q")


class _Room(NamedTuple):
    """A map that all processes share."""

    name: str
    time_offset: int
    """Where an element says when it was over, or began to be; 0 there: it is not."""
    kept_ns: int
    """How long it stays after that time."""


_CONNECTIONS = _Room("connections", CONNECTION_BYTES, 10**9)
"""struct qtap_state, ended_ns. Children inherit from what has ended, and a probe may be writing to it yet."""
_OPEN_CALLS = _Room("open_calls", 24, 60 * 10**9)
"""struct qtap_call, started_ns. What is put aside for so long, among so many, never returned."""


class Settled(NamedTuple):
    """What was set right."""

    removed: int
    """Elements that were over, of processes that have many."""
    corrected: int
    """Processes that have more or less than the kernel side had counted."""


def settle(session: KernelSession, now_ns: int) -> Settled:
    """Remove what is over where there is much of it, and set right how much each process has.

    ``now_ns`` is boot time.
    """
    connections, removed = _settle(session, _CONNECTIONS, now_ns)
    open_calls, removed_calls = _settle(session, _OPEN_CALLS, now_ns)
    holdings = session.maps["holdings"]
    corrected = 0
    for key, value in map_items(holdings):
        *counted, told_ns = _HOLDING.unpack(value)
        (process,) = _PROCESS.unpack(key)
        held = [connections[process], open_calls[process]]
        if counted != held:
            map_update(holdings, key, _HOLDING.pack(*held, told_ns))
            corrected += 1
    return Settled(removed + removed_calls, corrected)


def _settle(session: KernelSession, room: _Room, now_ns: int) -> tuple[Counter[int], int]:
    """How many elements each process has, and how many were removed."""
    elements = session.maps[room.name]
    definition = map_definition(elements)
    held: Counter[int] = Counter()
    over: list[tuple[int, bytes]] = []
    for key, value in map_items(elements):
        process = process_of(room.name, key, value)
        held[process] += 1
        if _is_over(room, value, now_ns):
            over.append((process, key))
    crowded = {process for process, count in held.items() if count >= definition.max_entries // _CROWDED}
    removed = 0
    for process, key in over:
        if process not in crowded:
            continue
        with contextlib.suppress(OSError):  # it went by itself
            value = map_lookup(elements, key, definition.value_bytes)
            if _is_over(room, value, now_ns):  # else it is in use again
                map_delete(elements, key)
                held[process] -= 1
                removed += 1
    return held, removed


def _is_over(room: _Room, value: bytes, now_ns: int) -> bool:
    (time_ns,) = _TIME.unpack_from(value, room.time_offset)
    return bool(time_ns) and now_ns - time_ns > room.kept_ns
