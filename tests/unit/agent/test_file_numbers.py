# SPDX-License-Identifier: Apache-2.0
import logging
import struct
import time

import pytest

from otel_qtap.agent.file_numbers import FileNumbers
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_lookup
from otel_qtap.probes.spec import MAX_FILES, UNKNOWN_LAYOUT, ObjectLayout

pytestmark = pytest.mark.bpf


def told(session: KernelSession, number: int) -> bytes:
    return map_lookup(session.maps["layouts"], struct.pack("<I", number), 16)


def since(session: KernelSession, number: int) -> int:
    found = map_lookup(session.maps["probed_since"], struct.pack("<I", number), 8)
    return int.from_bytes(found, "little")


def test_the_kernel_side_knows_the_layout_for_as_long_as_the_file_is_probed(
    kernel_session: KernelSession,
) -> None:
    numbers = FileNumbers(kernel_session)
    layout = ObjectLayout(role=0x38, client_random=0x160, server_random=0x140)

    number = numbers.take(layout)
    assert told(kernel_session, number) == layout.pack()
    numbers.give_back(number)
    assert told(kernel_session, number) == UNKNOWN_LAYOUT.pack()


def test_the_kernel_side_knows_since_when_no_byte_goes_by_a_files_probes(
    kernel_session: KernelSession,
) -> None:
    numbers = FileNumbers(kernel_session)
    assert since(kernel_session, 0) == 1

    number = numbers.take(UNKNOWN_LAYOUT)
    assert since(kernel_session, number) == 0, "not before they are there"
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    numbers.attached(number)
    assert before <= since(kernel_session, number) <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    numbers.give_back(number)
    assert since(kernel_session, number) == 0

    numbers.included_more()
    assert since(kernel_session, 0) > time.clock_gettime_ns(time.CLOCK_BOOTTIME), "verdicts are kept a moment"


def test_a_number_is_used_again_after_all_others(
    kernel_session: KernelSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    numbers = FileNumbers(kernel_session)

    first = numbers.take(UNKNOWN_LAYOUT)
    numbers.give_back(first)
    others = [numbers.take(UNKNOWN_LAYOUT) for _ in range(MAX_FILES - 2)]

    assert 0 not in others
    assert first not in others
    assert numbers.take(UNKNOWN_LAYOUT) == first
    assert not caplog.messages

    assert [numbers.take(UNKNOWN_LAYOUT) for _ in range(2)] == [0, 0], "all are in use"
    (told,) = caplog.messages
    assert told.startswith(f"{MAX_FILES - 1} libraries are probed")
    numbers.give_back(0)
    assert len(caplog.messages) == 1
    numbers.give_back(first)
    assert "has a number again (after" in caplog.messages[1]
    assert numbers.take(UNKNOWN_LAYOUT) == first
