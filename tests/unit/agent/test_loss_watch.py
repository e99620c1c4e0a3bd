# SPDX-License-Identifier: Apache-2.0
import logging

import pytest

from otel_qtap.agent.loss_watch import CALM_SECONDS, LossWatch


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_losses_are_told_when_they_begin_and_when_they_are_over(caplog: pytest.LogCaptureFixture) -> None:
    watch = LossWatch()
    for second, total in enumerate([5, 5, 7, 9, *[9] * 12, *[10] * 12]):
        watch.observe({"spans (queue_full)": total}, float(second))

    assert [message.partition(" (after")[0] for message in caplog.messages] == [
        "losses begin: spans (queue_full)",
        "no more losses: spans (queue_full); 4 were lost",
        "losses begin: spans (queue_full)",
        "no more losses: spans (queue_full); 1 were lost",
    ]


def test_what_was_lost_before_the_first_look_is_old(caplog: pytest.LogCaptureFixture) -> None:
    watch = LossWatch()
    watch.observe({"a": 3}, 0.0)
    watch.observe({"a": 3, "b": 2}, 1.0)

    assert caplog.messages == ["losses begin: b"]


def test_each_kind_has_a_state_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    watch = LossWatch()
    for second in range(40):
        watch.observe({"a": second, "b": min(second, 2)}, float(second))

    assert [m.partition(" (after")[0] for m in caplog.messages] == [
        "losses begin: a",
        "losses begin: b",
        "no more losses: b; 2 were lost",
    ]
    assert CALM_SECONDS < 38
