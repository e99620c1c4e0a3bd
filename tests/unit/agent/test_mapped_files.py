# SPDX-License-Identifier: Apache-2.0
"""How many looks are taken at processes that map files in storms, with the looks counted."""

from collections.abc import Mapping

import pytest

from otel_qtap.agent.mapped_files import SECOND_LOOK_NS, WORK_A_ROUND, MappedFiles
from otel_qtap.agent.probed_files import Look, Met
from otel_qtap.capture.records import Kind, ProcessNotice
from otel_qtap.discovery.scan import KernelFile


class Bench:
    """Files that are what the test says, and a clock that goes on by one at each question."""

    def __init__(self) -> None:
        self.now = 10**9
        self.looks: list[tuple[int, list[int]]] = []
        self.kinds: dict[int, Met] = {}
        self.otherwise = Met.AWAITED
        self.marks: dict[int, Met] = {}
        self.work = 1
        self.learnt: list[ProcessNotice] = []
        self.mapped = MappedFiles(self, self.learnt.append, self._clock)

    def _clock(self) -> int:
        self.now += 1
        return self.now

    def marked(self, file: KernelFile, told_ns: int) -> Met | None:
        return self.marks.get(file[0])

    def meet_all(self, pid: int, told: Mapping[KernelFile, int]) -> Look:
        self.looks.append((pid, [inode for inode, _ in told]))
        return Look({file: self.kinds.get(file[0], self.otherwise) for file in told}, self.work)

    def tell(self, pid: int, inode: int, *, told_ns: int | None = None) -> None:
        told_ns = self._clock() if told_ns is None else told_ns
        self.mapped.notice(ProcessNotice(Kind.FILE_MAPPED, pid, 1, told_ns, inode, 1, 0, "python3"))

    def later(self) -> None:
        self.now += SECOND_LOOK_NS
        self.mapped.look_again()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_notices_that_came_before_a_look_are_answered_by_it(bench: Bench) -> None:
    told = bench.now
    for inode in range(2000):
        bench.tell(7, inode, told_ns=told)
    assert len(bench.looks) == 1
    bench.later()
    assert len(bench.looks) == 2
    assert len(bench.looks[1][1]) == 32, "the others of its files are looked at without being named"
    bench.tell(7, 9999)
    assert len(bench.looks) == 3, "this came after the last look"


def test_a_process_is_looked_at_again_until_its_files_are_known(bench: Bench) -> None:
    told = bench.now
    for inode in (1, 2, 3):
        bench.tell(7, inode, told_ns=told)
    bench.later()
    bench.kinds = {1: Met.LIBRARY, 2: Met.OTHER}
    bench.mapped.look_again()
    assert len(bench.looks) == 2, "it is not time yet"
    bench.later()
    assert [notice.inode for notice in bench.learnt] == [1]
    bench.kinds[3] = Met.ABSENT
    bench.later()
    assert bench.looks[-1] == (7, [3])
    assert not bench.mapped.wants_attention


def test_what_is_not_there_is_looked_for_once_more(bench: Bench) -> None:
    bench.otherwise = Met.ABSENT
    bench.tell(7, 1)
    assert bench.mapped.wants_attention
    bench.later()
    assert (len(bench.looks), bench.mapped.wants_attention) == (2, False)


def test_what_is_known_takes_no_look(bench: Bench) -> None:
    bench.marks = {1: Met.LIBRARY, 2: Met.OTHER}
    bench.tell(7, 1)
    bench.tell(7, 2)
    assert (bench.looks, [notice.inode for notice in bench.learnt]) == ([], [1])


def test_only_so_much_is_looked_at_before_signals_have_their_turn(bench: Bench) -> None:
    bench.work = WORK_A_ROUND // 4
    for pid in range(100):
        bench.tell(pid, 1)
    assert len(bench.looks) == 4
    for rounds in range(1, 10):
        bench.later()
        assert len(bench.looks) == 4 + 4 * rounds
    assert {pid for pid, _ in bench.looks} == set(range(36)), "the first four twice"


def test_one_that_had_no_look_yet_is_looked_for_twice(bench: Bench) -> None:
    bench.work, bench.otherwise = WORK_A_ROUND, Met.ABSENT
    for pid in (1, 2):
        bench.tell(pid, 1)
    while bench.mapped.wants_attention:
        bench.later()
    assert sorted(pid for pid, _ in bench.looks) == [1, 1, 2, 2]
