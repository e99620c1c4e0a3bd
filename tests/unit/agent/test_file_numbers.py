# SPDX-License-Identifier: Apache-2.0
import struct

import pytest

from otel_qtap.agent.file_numbers import FileNumbers
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_lookup
from otel_qtap.probes.spec import MAX_FILES, UNKNOWN_LAYOUT, ObjectLayout

pytestmark = pytest.mark.bpf


def told(session: KernelSession, number: int) -> bytes:
    return map_lookup(session.maps["layouts"], struct.pack("<I", number), 16)


def test_the_kernel_side_knows_the_layout_for_as_long_as_the_file_is_probed(
    kernel_session: KernelSession,
) -> None:
    numbers = FileNumbers(kernel_session)
    layout = ObjectLayout(role=0x38, client_random=0x160, server_random=0x140)

    number = numbers.take(layout)
    assert told(kernel_session, number) == layout.pack()
    numbers.give_back(number)
    assert told(kernel_session, number) == UNKNOWN_LAYOUT.pack()


def test_a_number_is_used_again_after_all_others(kernel_session: KernelSession) -> None:
    numbers = FileNumbers(kernel_session)

    first = numbers.take(UNKNOWN_LAYOUT)
    numbers.give_back(first)
    others = [numbers.take(UNKNOWN_LAYOUT) for _ in range(MAX_FILES - 2)]

    assert 0 not in others
    assert first not in others
    assert numbers.take(UNKNOWN_LAYOUT) == first
    assert numbers.take(UNKNOWN_LAYOUT) == 0, "all are in use"
