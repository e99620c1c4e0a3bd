# SPDX-License-Identifier: Apache-2.0
"""What is removed for processes that ended, and nothing else."""

import struct

import pytest

from otel_qtap.capture.leftovers import remove_ended
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_items, map_sizes, map_update

pytestmark = pytest.mark.bpf

GONE, HERE = 4_000_001, 4_000_002


def elements_of(process: int, session: KernelSession) -> dict[str, tuple[bytes, bytes]]:
    """An element of each map that speaks of this process."""
    thread = struct.pack("<II", 7, process)
    connection = struct.pack("<QII", 0x5555_0000_0000, process, 0)
    keys = {
        "excluded_processes": struct.pack("<I", process),
        "tls_processes": struct.pack("<I", process),
        "threads": thread,
        "open_calls": thread + struct.pack("<Q", 0x7FFC_0000_0000),
        "connections": connection,
        "connections_by_io": struct.pack("<QII", process << 20, 0, 0),
    }
    values = {name: bytes(map_sizes(session.maps[name])[1]) for name in keys}
    values["connections_by_io"] = connection
    return {name: (key, values[name]) for name, key in keys.items()}


def test_only_what_belongs_to_ended_processes_is_removed(kernel_session: KernelSession) -> None:
    for process in (GONE, HERE):
        for name, (key, value) in elements_of(process, kernel_session).items():
            map_update(kernel_session.maps[name], key, value)
    here = elements_of(HERE, kernel_session)

    assert remove_ended(kernel_session, lambda process: process == HERE) == len(here)
    for name, element in here.items():
        assert list(map_items(kernel_session.maps[name])) == [element]
    assert remove_ended(kernel_session, lambda process: process == HERE) == 0
