# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from otel_qtap.telemetry.clock import UnixClock

SECOND = 1_000_000_000


class Clocks:
    def __init__(self):
        self.boot, self.wall = 100 * SECOND, 1_700_000_000 * SECOND

    def boottime_ns(self):
        self.boot += 50  # reading takes its time
        self.wall += 50
        return self.boot

    def unix_ns(self):
        return self.wall


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def clock(clocks):
    return UnixClock(boottime_ns=clocks.boottime_ns, unix_ns=clocks.unix_ns)


def test_moment_is_converted(clock):
    assert abs(clock.unix(101 * SECOND) - 1_700_000_001 * SECOND) < 1000


def test_small_differences_leave_the_offset_alone(clock, clocks):
    before = clock.offset_ns
    clocks.wall += 90_000
    clock.anchor()
    assert clock.offset_ns == before


@pytest.mark.parametrize("step", [200_000, -3600 * SECOND])
def test_clock_that_was_set_is_followed(clock, clocks, step):
    before = clock.offset_ns
    clocks.wall += step
    assert clock.offset_ns == before
    clock.anchor()
    assert abs(clock.offset_ns - before - step) < 1000


def test_moment_before_1970_is_zero(clock):
    assert clock.unix(-1_800_000_000 * SECOND) == 0


def test_real_clocks_agree():
    clock = UnixClock()
    now = clock.unix(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    assert abs(now - time.time_ns()) < SECOND
    assert abs(clock.now() - time.time_ns()) < SECOND
