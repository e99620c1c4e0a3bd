# SPDX-License-Identifier: Apache-2.0
from otel_qtap.viewer import throttle
from otel_qtap.viewer.throttle import BURST, SECONDS_EACH, Throttle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_failures_is_allowed_and_then_one_at_a_time() -> None:
    clock = Clock()
    limit = Throttle(clock)
    for _ in range(BURST):
        assert limit.wait_seconds("a") == 0
        limit.failed("a")
    wait = limit.wait_seconds("a")
    assert 0 < wait <= SECONDS_EACH + 1
    clock.now += wait
    assert limit.wait_seconds("a") == 0
    limit.failed("a")
    assert limit.wait_seconds("a") > 0
    clock.now += BURST * SECONDS_EACH
    assert limit.wait_seconds("a") == 0


def test_addresses_do_not_pay_for_each_other() -> None:
    limit = Throttle(Clock())
    for _ in range(BURST + 5):
        limit.failed("a")
    assert limit.wait_seconds("a") > 0
    assert limit.wait_seconds("b") == 0


def test_it_remembers_a_bounded_number_of_addresses(monkeypatch) -> None:
    monkeypatch.setattr(throttle, "_MOST_ADDRESSES", 3)
    limit = Throttle(Clock())
    for _ in range(BURST):
        limit.failed("old")
    for address in "abc":
        limit.failed(address)
    assert limit.wait_seconds("old") == 0
    assert len(limit._empty_at) == 3
