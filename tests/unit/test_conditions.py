# SPDX-License-Identifier: Apache-2.0
import logging
import threading
import time

import pytest

from otel_qtap.conditions import Condition

logger = logging.getLogger("otel_qtap.test")


@pytest.fixture
def condition(caplog: pytest.LogCaptureFixture) -> Condition:
    caplog.set_level(logging.INFO)
    return Condition(logger, "qtap.test")


def test_each_change_is_logged_once(condition: Condition, caplog: pytest.LogCaptureFixture) -> None:
    condition.recover("back")
    for _ in range(3):
        condition.fail("refused", "%s is away", "it")
    for _ in range(3):
        condition.recover("%s is back", "it")
    condition.fail("refused", "%s is away", "it")

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert caplog.messages[0] == "it is away"
    assert caplog.messages[1].startswith("it is back (after 0.")
    assert {record.event_name for record in caplog.records} == {"qtap.test"}  # type: ignore[attr-defined]
    assert caplog.records[0].filename == "test_conditions.py"


def test_the_state_tells_since_when_and_the_latest_reason(condition: Condition) -> None:
    before = time.time()
    assert condition.well
    condition.fail("refused", "away")
    began = condition.state
    condition.fail("timeout", "away")

    assert began.since >= before
    assert condition.state == (False, began.since, "timeout")
    condition.recover("back")
    assert (condition.well, condition.state.reason) == (True, "")
    assert condition.state.since >= began.since


def test_many_threads_log_one_change_once(condition: Condition, caplog: pytest.LogCaptureFixture) -> None:
    barrier = threading.Barrier(8)

    def report() -> None:
        barrier.wait()
        condition.fail("refused", "away")

    threads = [threading.Thread(target=report) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert caplog.messages == ["away"]
