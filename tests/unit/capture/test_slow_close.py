# SPDX-License-Identifier: Apache-2.0
"""Descriptors that another process closes: nothing else stays open with it, and it ends by itself."""

import contextlib
import os
import time
from pathlib import Path

import pytest

from otel_qtap.capture.slow_close import close_elsewhere
from tests.support import procfs


def is_closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("can_fork", [True, False])
def test_the_last_one_to_hold_them_closes_them(monkeypatch: pytest.MonkeyPatch, can_fork: bool) -> None:
    def refused() -> int:
        raise BlockingIOError("no more processes")

    if not can_fork:
        monkeypatch.setattr(os, "fork", refused)
    children = procfs.descendants(os.getpid())
    pipes = [os.pipe() for _ in range(3)]
    close_elsewhere([write for _, write in pipes])

    assert all(is_closed(write) for _, write in pipes)
    for read, _ in pipes:
        assert os.read(read, 1) == b""  # which is only said when nobody holds the other end
        os.close(read)
    assert procfs.descendants(os.getpid()) == children


def others_that_hold(descriptor: int) -> list[str]:
    target, found = Path(f"/proc/self/fd/{descriptor}").readlink(), []
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if path.parts[2] != str(os.getpid()) and path.readlink() == target:
                found.append(path.parts[2])
    return found


def test_it_is_never_this_process_that_closes_them_last(monkeypatch: pytest.MonkeyPatch) -> None:
    pipes = [os.pipe() for _ in range(3)]
    written = [write for _, write in pipes]
    holders = {}

    def close(descriptor: int) -> None:
        if descriptor in written:
            time.sleep(0.1)  # in which the other process would have ended
            holders[descriptor] = others_that_hold(descriptor)
        actual(descriptor)

    actual = os.close
    with monkeypatch.context() as patched:
        patched.setattr(os, "close", close)
        close_elsewhere(written)

    assert list(holders) == written
    assert all(holders.values())
    for read, _ in pipes:
        assert os.read(read, 1) == b""
        os.close(read)


def test_what_is_not_to_be_closed_stays_open_here_and_is_held_nowhere_else() -> None:
    read, write = os.pipe()
    other, closed = os.pipe()
    close_elsewhere([closed])

    assert os.read(other, 1) == b""
    assert not is_closed(write)
    os.close(write)
    assert os.read(read, 1) == b""
    os.close(read)
    os.close(other)


def test_nothing_to_close_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process for nothing"))
    close_elsewhere([])
