# SPDX-License-Identifier: Apache-2.0
"""Counts out of the kernel side's own array."""

import struct

import pytest

from otel_qtap.capture.endings import Endings
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_update

pytestmark = pytest.mark.bpf


def test_each_count_has_its_name(kernel_session: KernelSession) -> None:
    array = kernel_session.maps["ended_connections"]
    for index, count in enumerate((5, 7)):
        map_update(array, struct.pack("<I", index), struct.pack("<Q", count))

    assert Endings(array).read() == {"captured": 5, "missed": 7}
