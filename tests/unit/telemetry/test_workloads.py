# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from otel_qtap.model.identity import ProcessFacts, ProcessId
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.resource import HostIdentity
from otel_qtap.telemetry.workloads import Workloads, process_attributes

CLOCK = UnixClock(boottime_ns=lambda: 0, unix_ns=lambda: 1_795_500_000_000_000_000)
FACTS = ProcessFacts(
    process=ProcessId(42, 250_999_999),
    command="python3",
    executable="/usr/bin/python3.11",
    command_line=("python3", "--password=hunter2"),
    user_id=0,
    user_name="root",
    service_name="orders",
)


def test_process_attributes_without_command_line():
    assert process_attributes(FACTS, CLOCK) == {
        "process.pid": 42,
        "process.creation.time": "2026-11-24T06:00:00.25Z",
        "process.command": "python3",
        "process.executable.name": "python3.11",
        "process.executable.path": "/usr/bin/python3.11",
        "process.user.id": 0,
        "process.user.name": "root",
    }


def test_only_what_is_known_is_told():
    assert process_attributes(ProcessFacts(process=ProcessId(0, 0)), CLOCK) == {}
    assert process_attributes(ProcessFacts(process=ProcessId(1, 0), command="curl"), CLOCK) == {
        "process.pid": 1,
        "process.command": "curl",
        "process.executable.name": "curl",
    }


def test_processes_of_one_service_share_their_groups():
    workloads = Workloads(HostIdentity(), CLOCK)
    other = replace(FACTS, process=ProcessId(43, 1), executable="/opt/python")
    first, second = workloads.of(FACTS), workloads.of(other)
    assert first is not second
    assert workloads.group(first, "http") is workloads.group(second, "http")
    assert workloads.group(first, "http") is not workloads.group(first, "tls")


def test_facts_learnt_later_replace_the_earlier_ones():
    workloads = Workloads(HostIdentity(), CLOCK)
    before = workloads.of(FACTS)
    assert workloads.of(replace(FACTS)) is before
    after = workloads.of(replace(FACTS, service_name="payments"))
    assert b"payments" in after.resource


def test_pid_that_is_used_again_is_another_process():
    workloads = Workloads(HostIdentity(), CLOCK)
    workloads.of(FACTS)
    again = replace(FACTS, process=ProcessId(42, 2), service_name="payments")
    assert b"payments" in workloads.of(again).resource


def test_right_after_more_processes_than_are_remembered():
    workloads = Workloads(HostIdentity(), CLOCK)
    for pid in range(20_000):
        facts = replace(FACTS, process=ProcessId(pid + 1, 1), service_name=f"s{pid}")
        workloads.group(workloads.of(facts), "http")
    assert b"orders" in workloads.group(workloads.of(FACTS), "http").resource
