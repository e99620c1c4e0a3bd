# SPDX-License-Identifier: Apache-2.0
import os
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest

from otel_qtap.agent.instrumented import (
    LONGEST_LOOK_SECONDS,
    LOOK_SECONDS,
    InstrumentationJudge,
    instrumentation_judge,
)
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.model.identity import BY_OPERATOR, NOT_INSTRUMENTED, ProcessFacts
from otel_qtap.settings import load_settings


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.takes = 0.0

    def __call__(self) -> float:
        self.now += self.takes
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def judge(clock: Clock) -> InstrumentationJudge:
    return InstrumentationJudge(Selectors.parse("", ""), clock=clock)


@pytest.fixture
def facts() -> ProcessFacts:
    found = ProcessReader().facts(os.getpid())
    assert found is not None
    return found


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has a connection to what stands in for a collector."""
    with socket.create_server(("127.0.0.1", 0)) as collector:
        port = collector.getsockname()[1]
        monkeypatch.setattr("otel_qtap.discovery.instrumentation.STANDARD_PORTS", frozenset({port}))
        with socket.create_connection(("127.0.0.1", port)):
            yield


@pytest.mark.parametrize(
    ("instrumented", "uninstrumented", "verdict"),
    [("pid=*", "", BY_OPERATOR), ("", "pid=*", NOT_INSTRUMENTED), ("pid=*", "pid=*", NOT_INSTRUMENTED)],
)
def test_the_user_has_the_first_word(
    instrumented: str, uninstrumented: str, verdict: str, facts: ProcessFacts, clock: Clock
) -> None:
    selectors = Selectors.parse(
        instrumented.replace("*", str(os.getpid())), uninstrumented.replace("*", str(os.getpid()))
    )
    judge = InstrumentationJudge(selectors, clock=clock)
    assert judge.judge(facts).instrumentation == verdict


def test_how_it_started_has_the_second(facts: ProcessFacts, judge: InstrumentationJudge) -> None:
    # Of its command line only: the environment that counts is the one with which this process started.
    java = ProcessFacts(
        process=facts.process, executable="/usr/bin/java", command_line=("java", "-javaagent:/otel.jar")
    )
    assert judge.judge(java).instrumentation == "java_agent"
    assert judge.judge(facts) == facts


@pytest.mark.usefixtures("connected")
def test_what_it_does_has_the_third(facts: ProcessFacts, judge: InstrumentationJudge, clock: Clock) -> None:
    assert judge.judge(facts).instrumentation == ""
    assert not judge.is_due
    clock.now += LOOK_SECONDS
    assert judge.is_due
    [found] = judge.review([facts])
    assert found.process == facts.process
    assert found.instrumentation == "otlp_connection"


def test_how_it_started_may_show_later(
    facts: ProcessFacts, judge: InstrumentationJudge, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = ProcessFacts(
        process=facts.process, executable="/opt/shop", command_line=("-javaagent:/otel.jar",)
    )
    monkeypatch.setattr("otel_qtap.discovery.instrumentation._mapped_names", lambda maps: frozenset())
    assert judge.judge(early).instrumentation == ""
    clock.now += LOOK_SECONDS
    assert judge.review([early]) == []
    monkeypatch.setattr(
        "otel_qtap.discovery.instrumentation._mapped_names", lambda maps: frozenset({"libjvm.so"})
    )
    clock.now += LOOK_SECONDS
    assert [found.instrumentation for found in judge.review([early])] == ["java_agent"]


@pytest.mark.usefixtures("connected")
def test_it_looks_now_and_then(facts: ProcessFacts, judge: InstrumentationJudge, clock: Clock) -> None:
    judge.judge(facts)
    looked = []
    for second in range(200):
        if judge.is_due:
            assert judge.review([facts])
            looked.append(second)
        clock.now += 1
    pauses = [later - earlier for earlier, later in pairwise(looked)]
    assert looked[0] == pauses[0] == LOOK_SECONDS
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_LOOK_SECONDS


@pytest.mark.usefixtures("connected")
def test_it_rests_long_after_a_look_that_took_long(facts: ProcessFacts, clock: Clock) -> None:
    judge = InstrumentationJudge(Selectors.parse("", ""), clock=clock)
    judge.judge(facts)
    clock.now += LOOK_SECONDS
    clock.takes = 0.5  # each look at the clock: one look at the connections takes that long
    assert judge.review([facts])
    clock.takes = 0
    clock.now += 49
    assert not judge.is_due
    clock.now += 1
    assert judge.is_due


@pytest.mark.usefixtures("connected")
def test_what_is_decided_or_gone_is_forgotten(
    facts: ProcessFacts, judge: InstrumentationJudge, clock: Clock
) -> None:
    judge.judge(facts)
    clock.now += LOOK_SECONDS
    assert judge.review([]) == []
    assert not judge.is_due
    assert judge.review([facts]) == []
    clock.now += 10 * LONGEST_LOOK_SECONDS
    assert not judge.is_due


def test_settings_choose_the_judge(facts: ProcessFacts) -> None:
    assert instrumentation_judge(load_settings({"OTEL_QTAP_TRACE_MODE": "child"})) is None
    settings = {"OTEL_QTAP_TRACE_INSTRUMENTED": "exe=*", "OTEL_QTAP_TRACE_UNINSTRUMENTED": "comm=other"}
    judge = instrumentation_judge(load_settings(settings))
    assert judge is not None
    assert judge.judge(facts).instrumentation == BY_OPERATOR
