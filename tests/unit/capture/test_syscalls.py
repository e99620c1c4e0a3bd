# SPDX-License-Identifier: Apache-2.0
"""bpf(2) and perf_event_open(2) on the running kernel: what they do, and what they say when they refuse."""

import errno
import os
import struct
from collections.abc import Callable

import pytest

from otel_qtap.capture import syscalls
from otel_qtap.capture.ring import Counters, Loss
from otel_qtap.capture.session import KernelSession

pytestmark = pytest.mark.bpf


def test_a_map_takes_what_is_written_to_it(kernel_session: KernelSession) -> None:
    counters = kernel_session.maps["counters"]
    for index, value in ((0, 7), (len(Counters.REASONS), 4096)):
        syscalls.map_update(counters, struct.pack("<I", index), struct.pack("<Q", value))

    assert Counters(counters).read()["ring_full"] == Loss(7, 4096)


def test_an_element_is_removed_once(kernel_session: KernelSession) -> None:
    excluded, key = kernel_session.maps["excluded_processes"], struct.pack("<I", 42)
    syscalls.map_update(excluded, key, struct.pack("<Q", 1))
    syscalls.map_delete(excluded, key)

    with pytest.raises(OSError, match="No such file") as raised:
        syscalls.map_delete(excluded, key)
    assert raised.value.errno == errno.ENOENT


@pytest.mark.parametrize("count", [0, 1, 5000])  # none, and more than are read at once
def test_all_of_a_map_is_read(kernel_session: KernelSession, count: int) -> None:
    excluded = kernel_session.maps["excluded_processes"]
    assert syscalls.map_sizes(excluded) == (4, 8)
    keys = {struct.pack("<I", number) for number in range(1, count + 1)}
    for key in keys:
        syscalls.map_update(excluded, key, bytes(8))

    found = list(syscalls.map_items(excluded))
    assert (len(found), {key for key, _ in found}) == (count, keys)
    assert {value for _, value in found} <= {bytes(8)}
    for key in keys:
        syscalls.map_delete(excluded, key)


def test_what_is_no_map_holds_nothing() -> None:
    with pytest.raises(OSError, match=r".+"):
        list(syscalls.map_items(0))


Refused = Callable[[KernelSession], int]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (
            lambda s: syscalls.raw_tracepoint(s.programs["qtap_process_exit"], "no_such_tracepoint"),
            errno.ENOENT,
        ),
        (lambda s: syscalls.raw_tracepoint(s.maps["counters"], "sched_process_exit"), errno.EINVAL),
        (
            lambda s: syscalls.uprobe_multi(s.programs["qtap_enter"], "/no/file", [0], [0], on_return=False),
            errno.ENOENT,
        ),
        (
            lambda s: syscalls.uprobe_multi(s.programs["qtap_enter"], "/usr", [0], [0], on_return=False),
            errno.EBADF,
        ),
    ],
)
def test_a_refusal_is_an_oserror_with_the_kernels_reason(
    kernel_session: KernelSession, call: Refused, code: int
) -> None:
    with pytest.raises(OSError) as raised:  # noqa: PT011 - the code is compared below
        call(kernel_session)
    assert raised.value.errno == code


def test_a_perf_event_that_takes_no_program_is_closed_again(kernel_session: KernelSession) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    with pytest.raises(OSError, match=r".+"):
        syscalls.perf_tracepoint(kernel_session.maps["counters"], 1)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
