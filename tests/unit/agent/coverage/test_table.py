# SPDX-License-Identifier: Apache-2.0
"""What messages make of the table: counts, JSON, events."""

import json

import pytest

from otel_qtap.agent.coverage import table as module
from otel_qtap.agent.coverage.judging import CAPTURED, Judgement, Reason, State
from otel_qtap.agent.coverage.speakers import Judged
from otel_qtap.agent.coverage.table import CoverageTable
from otel_qtap.agent.messages import coverage_message
from otel_qtap.model.identity import ProcessFacts, ProcessId

JAVA = Judgement(State.UNCAPTURED, Reason.UNSUPPORTED, "java", "JSSE is not captured")


class Heard:
    """A table, and the events that it made."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str, str, str]] = []
        self.table = CoverageTable(facts=self._facts, on_event=self._event)

    def _facts(self, process: ProcessId, command: str, user_id: int) -> ProcessFacts:
        return ProcessFacts(process=process, command=command, executable=f"/bin/{command}", user_id=user_id)

    def _event(self, facts: ProcessFacts, reason: str, library: str, detail: str) -> None:
        self.events.append((facts.process.tgid, reason, library, detail))

    def hear(self, pid: int, judgement: Judgement, *, ended: bool = False, is_news: bool = False) -> None:
        judged = Judged(
            pid=pid,
            start_time_ns=pid * 10**9,
            command="java",
            user_id=7,
            judgement=judgement,
            has_ended=ended,
        )
        self.table.hear(json.loads(json.dumps(coverage_message(judged, is_news=is_news))))


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_processes_are_counted_by_state_and_reason(heard: Heard) -> None:
    for pid in (1, 2):
        heard.hear(pid, CAPTURED)
    heard.hear(3, JAVA)

    assert heard.table.counts() == {("captured", ""): 2, ("uncaptured", "unsupported"): 1}


def test_a_later_judgement_takes_the_place_of_the_first(heard: Heard) -> None:
    heard.hear(3, JAVA)
    heard.hear(3, CAPTURED)

    assert heard.table.counts() == {("captured", ""): 1}
    assert heard.table.as_json()["not_captured"] == []


def test_events_are_made_of_what_is_news_only(heard: Heard) -> None:
    heard.hear(3, JAVA, is_news=True)
    heard.hear(3, JAVA)

    assert heard.events == [(3, "unsupported", "java", "JSSE is not captured")]


def test_json_says_who_with_what_and_why(heard: Heard) -> None:
    heard.hear(3, JAVA)

    said = heard.table.as_json()
    assert said["processes"] == {"captured": 0, "partial": 0, "uncaptured": 1, "relay": 0}
    (listed,) = said["not_captured"]
    assert {
        key: listed[key] for key in ("pid", "executable", "reason", "library", "detail", "has_ended")
    } == {
        "pid": 3,
        "executable": "/bin/java",
        "reason": "unsupported",
        "library": "java",
        "detail": "JSSE is not captured",
        "has_ended": False,
    }


def test_ended_processes_are_remembered_up_to_a_bound(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENDED", 2)
    heard = Heard()
    for pid in range(1, 5):
        heard.hear(pid, JAVA if pid > 1 else CAPTURED)
    for pid in range(1, 5):
        heard.hear(pid, JAVA if pid > 1 else CAPTURED, ended=True)

    assert heard.table.counts() == {}
    listed = heard.table.as_json()["not_captured"]
    assert [(each["pid"], each["has_ended"]) for each in listed] == [(4, True), (3, True)]


def test_more_than_is_shown_is_counted(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHOWN", 2)
    for pid in range(1, 6):
        heard.hear(pid, JAVA)

    said = heard.table.as_json()
    assert (len(said["not_captured"]), said["not_shown"]) == (2, 3)


def test_more_processes_than_there_is_room_for_push_out_the_oldest(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PROCESSES", 3)
    for pid in range(1, 6):
        heard.hear(pid, JAVA)

    assert [each["pid"] for each in heard.table.as_json()["not_captured"]] == [3, 4, 5]
