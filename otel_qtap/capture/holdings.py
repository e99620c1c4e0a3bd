# SPDX-License-Identifier: Apache-2.0
"""How much of the kernel side's map of connections each process has: none may take the room of all others.

The kernel side counts up what a process makes and refuses it more than its share. What the map forgot by
itself, and what is removed here, only the supervisor can tell.
"""

import contextlib
import struct
from collections import Counter
from typing import NamedTuple

from otel_qtap.capture.leftovers import process_of
from otel_qtap.capture.records import CONNECTION_BYTES
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_definition, map_delete, map_items, map_lookup, map_update

_CROWDED = 8
"""QTAP_SHARE / 2: a process with so great a part of the map has its ended connections removed."""
_KEPT_NS = 10**9
"""For so long what has ended stays: children inherit from it, and a probe may still be writing to it."""
_ENDED = struct.Struct("<Q")
_ENDED_OFFSET = CONNECTION_BYTES
"""struct qtap_state, ended_ns: 0 while the connection lasts."""
_PROCESS = struct.Struct("<I")
_HOLDING = struct.Struct("<QQ")
"""struct qtap_holding"""


class Settled(NamedTuple):
    """What was set right."""

    removed: int
    """Ended connections of processes that have many."""
    corrected: int
    """Processes with another number of connections than the kernel side had counted."""


def settle(session: KernelSession, now_ns: int) -> Settled:
    """Remove ended connections where there are many, and set right how many each process has.

    ``now_ns`` is boot time.
    """
    connections, holdings = session.maps["connections"], session.maps["holdings"]
    definition = map_definition(connections)
    held: Counter[int] = Counter()
    ended: list[tuple[int, bytes]] = []
    for key, value in map_items(connections):
        process = process_of("connections", key, value)
        held[process] += 1
        if _is_over(value, now_ns):
            ended.append((process, key))
    crowded = {process for process, count in held.items() if count >= definition.max_entries // _CROWDED}
    removed = 0
    for process, key in ended:
        if process in crowded and _remove(connections, key, definition.value_bytes, now_ns):
            held[process] -= 1
            removed += 1
    corrected = 0
    for key, value in map_items(holdings):
        counted, told_ns = _HOLDING.unpack(value)
        (process,) = _PROCESS.unpack(key)
        if counted != held[process]:
            map_update(holdings, key, _HOLDING.pack(held[process], told_ns))
            corrected += 1
    return Settled(removed, corrected)


def _is_over(state: bytes, now_ns: int) -> bool:
    (ended_ns,) = _ENDED.unpack_from(state, _ENDED_OFFSET)
    return bool(ended_ns) and now_ns - ended_ns > _KEPT_NS


def _remove(connections: int, key: bytes, value_bytes: int, now_ns: int) -> bool:
    with contextlib.suppress(OSError):  # it went by itself
        state = map_lookup(connections, key, value_bytes)
        if _is_over(state, now_ns):  # else its object is in use again
            map_delete(connections, key)
            return True
    return False
