# SPDX-License-Identifier: Apache-2.0
import os
import time

from otel_qtap.agent.vital_signs import RELOADS, VitalSigns


def in_a_child(work: object) -> None:
    pid = os.fork()
    if pid == 0:
        work()  # type: ignore[operator]
        os._exit(0)
    os.waitpid(pid, 0)


def test_each_process_sees_the_others_rounds() -> None:
    signs = VitalSigns()
    assert signs.pipeline_age > 60, "it never went round"
    in_a_child(signs.pipeline_goes_round)
    assert signs.pipeline_age < 60

    before = signs.supervisor_age
    time.sleep(0.01)
    assert signs.supervisor_age > before
    signs.supervisor_goes_round()
    assert signs.supervisor_age < before + 0.01


def test_counts_of_the_supervisor_reach_children() -> None:
    signs = VitalSigns()
    signs.count_restart()
    for outcome in ("applied", "refused", "refused"):
        signs.count_reload(outcome)
    read, write = os.pipe()
    in_a_child(lambda: os.write(write, f"{signs.restarts} {signs.reloads}".encode()))

    assert os.read(read, 1000).decode() == f"1 {dict.fromkeys(RELOADS, 0) | {'applied': 1, 'refused': 2}}"


def test_nothing_that_a_child_writes_changes_what_the_supervisor_counts_on() -> None:
    signs = VitalSigns()
    in_a_child(lambda: [signs.count_restart() for _ in range(9)])
    signs.count_restart()

    assert signs.restarts == 1
