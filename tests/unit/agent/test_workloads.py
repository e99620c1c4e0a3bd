# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from otel_qtap.agent import workloads as module
from otel_qtap.agent.workloads import Workloads, process_key
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.model.events import ConnectionObserved
from otel_qtap.model.identity import ConnectionId, Endpoint, PeerSource, ProcessFacts, ProcessId, Role

START_NS = 1_234_567_890
CONNECTION = ConnectionId(42, START_NS, 0xAB, 1)


def observed(connection: ConnectionId) -> ConnectionObserved:
    return ConnectionObserved(
        connection,
        2_000_000_000,
        Role.CLIENT,
        Endpoint("10.0.0.1", 40000),
        Endpoint("10.0.0.2", 443),
        PeerSource.NESTED_SYSCALL,
        True,
        "curl",
        1000,
    )


OBSERVED = observed(CONNECTION)
FACTS = ProcessFacts(process=ProcessId(42, 1_230_000_000), command="curl", service_name="shop")
"""As /proc tells them: the start time in whole ticks."""


def only_curl(facts: ProcessFacts) -> bool:
    return facts.command == "curl"


def test_before_its_facts_come_a_process_is_what_its_events_tell() -> None:
    context = Workloads(only_curl).context(OBSERVED)

    assert context.id == CONNECTION
    assert (context.role, context.local, context.remote) == (OBSERVED.role, OBSERVED.local, OBSERVED.remote)
    assert (context.peer_source, context.handshake_seen) == (PeerSource.NESTED_SYSCALL, True)
    assert context.facts == ProcessFacts(
        process=ProcessId(42, START_NS), command="curl", user_id=1000, service_name="curl"
    )


def test_facts_of_proc_are_those_of_the_kernels_process() -> None:
    workloads = Workloads(only_curl)
    key = workloads.learn(FACTS, allowed=True)

    assert key == process_key(42, START_NS)
    assert workloads.is_known(key)
    assert workloads.context(OBSERVED).facts is FACTS


def test_another_process_with_the_same_pid_is_not_known() -> None:
    workloads = Workloads(only_curl)
    workloads.learn(FACTS, allowed=True)
    later = observed(CONNECTION._replace(process_start_ns=START_NS + 10**9))

    assert not workloads.is_known(process_key(*later.connection.process))
    assert workloads.context(later).facts.service_name == "curl"


@pytest.mark.parametrize("allowed", [True, False])
def test_the_supervisors_verdict_counts_once_it_is_known(allowed: bool) -> None:
    workloads = Workloads(lambda facts: not allowed)
    context = workloads.context(OBSERVED)
    assert workloads.verdict(context) is not allowed

    workloads.learn(FACTS, allowed=allowed)
    assert workloads.verdict(context) is allowed


def test_this_process_has_one_key_by_proc_and_by_the_kernels_clock() -> None:
    facts = ProcessReader().facts(os.getpid())
    ticks = ProcessReader().start_ticks(os.getpid())
    assert facts is not None
    assert ticks is not None

    # The kernel tells the same moment to the nanosecond, anywhere within the tick.
    assert process_key(os.getpid(), ticks * 10_000_000 + 9_999_999) == process_key(*facts.process)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PROCESSES", 3)
    workloads = Workloads(only_curl)
    keys = [workloads.learn(ProcessFacts(process=ProcessId(pid, START_NS)), allowed=True) for pid in range(5)]

    assert [workloads.is_known(key) for key in keys] == [False, False, True, True, True]


def test_other_selectors_decide_for_processes_whose_facts_have_not_come() -> None:
    workloads = Workloads(only_curl)
    context = workloads.context(OBSERVED)
    assert workloads.verdict(context)
    workloads.choose(lambda _: False)
    assert not workloads.verdict(context)

    workloads.learn(FACTS, allowed=True)
    assert workloads.verdict(context), "the supervisor's word counts for those that it knows"


def test_ended_processes_are_forgotten_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_ENDED", 2)
    workloads = Workloads(only_curl)
    processes = [ProcessId(pid, START_NS) for pid in range(4)]
    keys = [workloads.learn(ProcessFacts(process=process), allowed=True) for process in processes]
    workloads.end(ProcessId(99, START_NS))  # never met
    for process in processes[:3]:
        workloads.end(process)
    assert [workloads.is_known(key) for key in keys] == [False, True, True, True]

    workloads.learn(ProcessFacts(process=processes[1]), allowed=True)  # it only ran another program
    for process in (processes[2], processes[3]):
        workloads.end(process)
    assert [workloads.is_known(key) for key in keys] == [False, True, True, True]
