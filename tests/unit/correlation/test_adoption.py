# SPDX-License-Identifier: Apache-2.0
from otel_qtap.correlation.adoption import AdoptionBound


def test_bounded_by_number() -> None:
    bound = AdoptionBound(limit=3, duration_ns=100)
    assert [bound.adopt(b"a", 0) for _ in range(5)] == [True, True, True, False, False]
    assert bound.adopt(b"b", 0)


def test_bounded_by_time_since_first_seen() -> None:
    bound = AdoptionBound(limit=1000, duration_ns=100)
    assert bound.adopt(b"a", 50)
    assert bound.adopt(b"a", 150)
    assert not bound.adopt(b"a", 151)
    assert bound.adopt(b"b", 151)


def test_time_that_runs_backwards_bounds_nothing() -> None:
    bound = AdoptionBound(limit=1000, duration_ns=100)
    assert bound.adopt(b"a", 500)
    assert bound.adopt(b"a", 10)


def test_memory_is_bounded_and_the_least_recently_seen_is_forgotten() -> None:
    bound = AdoptionBound(limit=1, duration_ns=100, capacity=2)
    bound.adopt(b"a", 0)
    bound.adopt(b"b", 0)
    assert not bound.adopt(b"a", 0)
    bound.adopt(b"c", 0)
    assert len(bound) == 2
    assert not bound.adopt(b"a", 0)
    assert bound.adopt(b"b", 0)
