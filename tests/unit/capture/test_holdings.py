# SPDX-License-Identifier: Apache-2.0
"""What is known of each process's connections is set right; tests/bpf/test_share.py has the kernel side."""

import struct

import pytest

from otel_qtap.capture.holdings import Settled, settle
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_items, map_sizes, map_update

pytestmark = pytest.mark.bpf

PROCESS, FORGOTTEN = 4_000_001, 4_000_002


def test_what_the_map_has_is_what_counts(kernel_session: KernelSession) -> None:
    connections, holdings = kernel_session.maps["connections"], kernel_session.maps["holdings"]
    _, size = map_sizes(connections)
    for handle in (1, 2, 3):
        map_update(connections, struct.pack("<QII", handle, PROCESS, 0), bytes(size))
    for process, counted in ((PROCESS, 7000), (FORGOTTEN, 5)):
        map_update(holdings, struct.pack("<I", process), struct.pack("<qqQ", counted, 2, 8))

    assert settle(kernel_session, 9) == Settled(removed=0, corrected=2)
    assert {
        struct.unpack("<I", key)[0]: struct.unpack("<qqQ", value) for key, value in map_items(holdings)
    } == {
        PROCESS: (3, 0, 8),
        FORGOTTEN: (0, 0, 8),
    }
    assert settle(kernel_session, 9) == Settled(removed=0, corrected=0)
