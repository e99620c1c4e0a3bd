# SPDX-License-Identifier: Apache-2.0
"""What ended processes leave in the maps: a process that is killed closes nothing and frees nothing."""

import contextlib
import struct
from collections.abc import Callable
from typing import NamedTuple

from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_items

_PROCESS_ID = struct.Struct("<I")


class _Place(NamedTuple):
    """Where an element of a map says whose it is: an offset in its key or in its value."""

    offset: int
    in_value: bool = False


_PLACES = {
    "excluded_processes": _Place(0),
    "tls_processes": _Place(0),
    "threads": _Place(4),
    "open_calls": _Place(4),
    "go_calls": _Place(8),
    "connections": _Place(8),
    "holdings": _Place(0),
    "connections_by_io": _Place(8, in_value=True),
    "sockets_by_random": _Place(16),
    "speaking_processes": _Place(0),
    "unbound_processes": _Place(0),
}
"""bpf/include/qtap_maps.h."""
OF_PROCESSES = tuple(_PLACES)
"""Names of the maps whose elements belong to a process each."""


def process_of(name: str, key: bytes, value: bytes) -> int:
    """The process that an element of a map of ``OF_PROCESSES`` belongs to."""
    place = _PLACES[name]
    (process,) = _PROCESS_ID.unpack_from(value if place.in_value else key, place.offset)
    return int(process)


def remove_ended(session: KernelSession, is_running: Callable[[int], bool]) -> int:
    """Remove what belongs to no running process any more; how many elements that were.

    A process is asked for after what is its own was read: one that starts meanwhile loses nothing.
    """
    running: dict[int, bool] = {}
    removed = 0
    for name in OF_PROCESSES:
        map_fd = session.maps[name]
        for key, value in map_items(map_fd):
            process = process_of(name, key, value)
            if process not in running:
                running[process] = is_running(process)
            if not running[process]:
                with contextlib.suppress(OSError):  # it went by itself
                    map_delete(map_fd, key)
                    removed += 1
    return removed
