# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.telemetry.observables import Observables


def test_several_rooms_may_fill_one_metric():
    observables = Observables()
    observables.register("qtap.capture.lost", lambda: [(1, {"qtap.capture.lost.reason": "a"})])
    observables.register("qtap.capture.lost", lambda: [(2, {"qtap.capture.lost.reason": "b"})])
    [metric] = observables.metrics()
    assert metric.name == "qtap.capture.lost"
    assert [count for count, _ in observables.observe(metric)] == [1, 2]


def test_values_are_read_when_they_are_observed():
    observables = Observables()
    counts = [1]
    observables.register("qtap.stream.late", lambda: [(counts[0], {})])
    [metric] = observables.metrics()
    assert list(observables.observe(metric)) == [(1, {})]
    counts[0] = 7
    assert list(observables.observe(metric)) == [(7, {})]


def test_metric_that_is_not_described_cannot_be_emitted():
    with pytest.raises(KeyError):
        Observables().register("qtap.not.described", list)
