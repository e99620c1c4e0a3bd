# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from otel_qtap.correlation.sampling import new_sampler
from otel_qtap.errors import SettingsError

TRACE_ID = bytes(range(16))


@pytest.mark.parametrize(
    ("name", "root", "below_sampled", "below_unsampled"),
    [
        ("always_on", True, True, True),
        ("always_off", False, False, False),
        ("parentbased_always_on", True, True, False),
        ("parentbased_always_off", False, True, False),
    ],
)
def test_decisions(name: str, root: bool, below_sampled: bool, below_unsampled: bool) -> None:
    sampler = new_sampler(name)
    assert sampler(TRACE_ID, None) is root
    assert sampler(TRACE_ID, True) is below_sampled
    assert sampler(TRACE_ID, False) is below_unsampled


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.25, 0.5, 0.999, 1.0])
def test_ratio_agrees_with_the_sdk(ratio: float) -> None:
    ours = new_sampler("traceidratio", ratio)
    theirs = TraceIdRatioBased(ratio)
    for trace_id in (random.Random(7).randbytes(16) for _ in range(200)):
        decision = theirs.should_sample(None, int.from_bytes(trace_id, "big"), "").decision
        assert ours(trace_id, None) == (decision is Decision.RECORD_AND_SAMPLE)


def test_parent_based_ratio_asks_the_ratio_only_for_roots() -> None:
    low, high = bytes(16), b"\xff" * 16
    sampler = new_sampler("parentbased_traceidratio", 0.5)
    assert (sampler(low, None), sampler(high, None)) == (True, False)
    assert (sampler(low, False), sampler(high, True)) == (False, True)


@pytest.mark.parametrize("name", ["jaeger_remote", "", "parentbased_", "parentbased_parentbased_always_on"])
def test_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="OTEL_TRACES_SAMPLER"):
        new_sampler(name)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_ratio_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(SettingsError, match="OTEL_TRACES_SAMPLER_ARG"):
        new_sampler("traceidratio", ratio)
