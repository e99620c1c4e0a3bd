# SPDX-License-Identifier: Apache-2.0
"""What the doctor makes of a running agent's word, and of files where no agent runs."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from otel_qtap.agent.doctor import Host, Status
from otel_qtap.agent.doctor import coverage as module
from otel_qtap.agent.doctor.coverage import MAX_GROUPS, coverage
from otel_qtap.agent.health import HealthServer
from otel_qtap.listening import listen
from tests.support.ports import free_port

MakeHost = Callable[..., Host]


def process(pid: int, **known: Any) -> dict[str, Any]:
    return {
        "pid": pid,
        "has_ended": False,
        "executable": "/usr/bin/java",
        "command": "java",
        "state": "uncaptured",
        "reason": "unsupported",
        "library": "java",
        "detail": "/jvm/libjvm.so: JSSE",
        **known,
    }


@contextmanager
def agent(make_host: MakeHost, said: object) -> Iterator[Host]:
    listener = listen("OTEL_QTAP_HEALTH_ADDRESS", "127.0.0.1", 0)
    HealthServer(
        listener,
        ready=dict,
        alive=dict,
        metrics=lambda _accept: ("text/plain", ""),
        coverage=lambda: said,  # type: ignore[arg-type, return-value]
    ).start()
    yield make_host(OTEL_QTAP_HEALTH_ADDRESS=f"127.0.0.1:{listener.getsockname()[1]}")


def said(*listed: dict[str, Any], captured: int = 3) -> dict[str, Any]:
    return {"processes": {"captured": captured, "partial": 0}, "not_captured": list(listed)}


def test_all_are_captured(make_host: MakeHost) -> None:
    with agent(make_host, said()) as host:
        outcome = coverage(host)
    assert (outcome.status, outcome.detail) == (Status.OK, "")
    assert outcome.summary == "of processes that speak TLS, 3 captured"


def test_those_that_are_not_are_grouped_and_explained(make_host: MakeHost) -> None:
    listed = [process(pid) for pid in range(1, 12)]
    gone = process(20, has_ended=True)
    other = process(21, executable="", command="job", reason="ended", detail="too short a life")
    with agent(make_host, said(*listed, gone, other)) as host:
        outcome = coverage(host)
    assert outcome.status is Status.WARN
    assert outcome.summary == "of processes that speak TLS, 3 captured, 12 not, and 1 that ended were not"
    assert outcome.detail.splitlines() == [
        "/usr/bin/java (process 1, 2, 3, 4, 5, 6, 7, 8, ... and 1 that ended): unsupported: "
        "/jvm/libjvm.so: JSSE",
        "job (process 21): ended: too short a life",
    ]
    assert outcome.data is not None
    assert outcome.data["source"] == "agent"
    assert outcome.data["not_captured"] == [*listed, gone, other]


def test_what_the_user_excluded_is_told_and_no_warning(make_host: MakeHost) -> None:
    with agent(make_host, said(process(1, reason="excluded", detail="left out as configured"))) as host:
        outcome = coverage(host)
    assert (outcome.status, outcome.summary) == (
        Status.OK,
        "of processes that speak TLS, 3 captured, 1 excluded",
    )
    assert "left out" in outcome.detail


def test_more_groups_than_a_person_reads_are_counted(make_host: MakeHost) -> None:
    listed = [process(pid, detail=str(pid)) for pid in range(MAX_GROUPS + 5)]
    with agent(make_host, said(*listed)) as host:
        lines = coverage(host).detail.splitlines()
    assert len(lines) == MAX_GROUPS + 1
    assert lines[-1].startswith("and 5 more")


@pytest.mark.parametrize("answer", [[], {"not_captured": []}, {"processes": {}, "not_captured": [{}]}, 3])
def test_an_answer_that_is_none_is_not_believed(make_host: MakeHost, answer: object) -> None:
    with agent(make_host, answer) as host:
        assert coverage(host).status is Status.SKIP


def test_without_an_agent_files_tell_who_could_not_be(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host(OTEL_QTAP_HEALTH_ADDRESS=f"127.0.0.1:{free_port()}")
    assert coverage(host).status is Status.OK
    monkeypatch.setattr(module, "_uncaptured_by_files", lambda _host: [process(4)])
    outcome = coverage(host)
    assert outcome.status is Status.OK
    assert "no agent runs" in outcome.summary
    assert "1 would not be" in outcome.summary
    assert "process 4" in outcome.detail
    assert json.dumps(outcome.data)


def test_an_address_where_something_else_answers_nothing(make_host: MakeHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.close()
        host = make_host(OTEL_QTAP_HEALTH_ADDRESS=f"127.0.0.1:{free_port()}")
    assert "no agent runs" in coverage(host).summary


def test_a_process_forges_no_line_and_reaches_no_terminal_with_its_names(make_host: MakeHost) -> None:
    forged = "/tmp/\x1b[2J\x9b\n  ok    all is well"
    listed = [
        process(1, executable=forged, detail=f"{forged}: JSSE"),
        process(2, executable="", command=forged, detail=f"{forged} is probed"),
    ]
    with agent(make_host, said(*listed)) as host:
        outcome = coverage(host)
    lines = outcome.detail.split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert lines[0].endswith("(process 1): unsupported: JSSE")
    assert outcome.data is not None
    assert outcome.data["not_captured"] == listed
