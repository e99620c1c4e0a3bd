# SPDX-License-Identifier: Apache-2.0
"""Who is looked at, for how long, and who is left alone; tests/bpf/test_ciphertext.py binds with it."""

import pytest

from otel_qtap.agent import ciphertext
from otel_qtap.agent.ciphertext import (
    LONGEST_SECONDS,
    MOST_AT_ONCE,
    MOST_PROCESSES,
    QUIET_SECONDS,
    REST_SECONDS,
    CiphertextWatch,
)
from otel_qtap.capture.attach import Site
from otel_qtap.capture.records import Kind, ProcessNotice
from otel_qtap.capture.session import KernelSession
from otel_qtap.discovery.plan import FileIdentity, LibraryPlan
from otel_qtap.errors import CaptureError

PLAN = LibraryPlan(path="/lib/libcrypto.so.3", identity=FileIdentity(1, 2, 3, 4), library="ciphertext")
NO_SESSION = KernelSession(
    programs={},
    maps={"watched_processes": 0xFFFF, "watched": 0xFFFF},
    attach="multi",
    data_ring_bytes=0,
    control_ring_bytes=0,
    process_ring_bytes=0,
)


class FakeProbes:
    """Counts itself while it is attached."""

    attached: list[int]
    refuses = False

    def __init__(
        self, session: KernelSession, path: str, sites: list[Site], state: object, *, pid: int
    ) -> None:
        if FakeProbes.refuses:
            raise CaptureError("no such process")
        self.pid = pid
        FakeProbes.attached.append(pid)

    def let_go(self) -> list[int]:
        FakeProbes.attached.remove(self.pid)
        return []


@pytest.fixture(autouse=True)
def _no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ciphertext, "Probes", FakeProbes)
    monkeypatch.setattr(FakeProbes, "attached", [], raising=False)


class FakeSearch:
    """A search through so many files, each of which takes a turn, or for ever while that ``is_held``."""

    is_held = False

    def __init__(self, plans: list[LibraryPlan], files: int) -> None:
        self.plans = plans
        self.files = files
        self.begun = 0
        self.is_running = False
        self.is_abandoned = False

    @property
    def is_done(self) -> bool:
        return not self.is_running and self.begun == self.files

    def advance(self, *, may_begin: bool) -> None:
        if self.is_running:
            self.is_running = FakeSearch.is_held
        elif may_begin and self.begun < self.files:
            self.begun += 1
            self.is_running = True

    def abandon(self) -> None:
        self.is_abandoned = True


class Bench:
    """A watch with a clock that stands still."""

    def __init__(self, plans: list[LibraryPlan] | None = None, files: int = 0) -> None:
        self.now = 1000.0
        self.asked: list[int] = []
        self.plans = [PLAN] if plans is None else plans
        self.searches: list[FakeSearch] = []
        self.files = files
        self.watch = CiphertextWatch(NO_SESSION, self._search, lambda: self.now)

    def _search(self, pid: int) -> FakeSearch:
        self.asked.append(pid)
        self.searches.append(FakeSearch(self.plans, self.files))
        return self.searches[-1]

    def tell(self, pid: int) -> None:
        self.watch.notice(ProcessNotice(Kind.PROCESS_UNBOUND, pid, 1, 1, 0, 0, 0, "python3"))


def test_a_process_is_looked_at_once() -> None:
    bench = Bench()
    bench.tell(7)
    bench.tell(7)
    assert (FakeProbes.attached, bench.watch.processes) == ([7], {7})


def test_it_is_let_go_when_all_is_bound() -> None:
    bench = Bench()
    bench.tell(7)
    bench.now += QUIET_SECONDS - 1
    bench.tell(7)
    bench.now += QUIET_SECONDS - 1
    bench.watch.review()
    assert FakeProbes.attached == [7]
    bench.now += 1
    bench.watch.review()
    assert FakeProbes.attached == []
    bench.tell(7)
    assert FakeProbes.attached == [7], "what is new there is looked at again"


def test_what_never_is_bound_is_left_alone_for_a_while() -> None:
    bench = Bench()
    for _ in range(int(LONGEST_SECONDS) + 1):
        bench.tell(7)
        bench.watch.review()
        bench.now += 1
    assert FakeProbes.attached == []
    bench.now += REST_SECONDS - 10
    bench.tell(7)
    assert FakeProbes.attached == []
    bench.now += 10
    bench.tell(7)
    assert FakeProbes.attached == [7]


def test_a_process_without_bio_write_is_asked_about_once() -> None:
    bench = Bench(plans=[])
    bench.tell(7)
    bench.tell(7)
    assert bench.asked == [7]


def test_a_process_that_is_gone_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeProbes, "refuses", True)
    bench = Bench()
    bench.tell(7)
    assert bench.watch.processes == frozenset()


def test_only_so_many_are_looked_at() -> None:
    bench = Bench()
    for pid in range(1, MOST_PROCESSES + 10):
        bench.tell(pid)
    assert len(bench.watch.processes) == MOST_PROCESSES


def test_all_are_let_go_in_the_end() -> None:
    bench = Bench()
    bench.tell(7)
    bench.tell(8)
    bench.watch.detach()
    assert FakeProbes.attached == []


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ciphertext, "_MOST_REMEMBERED", 10)
    bench = Bench(plans=[])
    for pid in range(100):
        bench.tell(pid)
    bench.now += REST_SECONDS
    for pid in range(100, 105):
        bench.tell(pid)
        bench.tell(pid)
    assert bench.asked == [*range(100), *range(100, 105)]


def test_files_are_not_waited_for() -> None:
    bench = Bench(files=2)
    bench.tell(7)
    assert (FakeProbes.attached, bench.watch.is_busy, bench.watch.processes) == ([], True, frozenset())
    bench.tell(7)
    assert bench.asked == [7]
    bench.now += QUIET_SECONDS
    while bench.watch.is_busy:
        bench.watch.review()
        assert FakeProbes.attached == []
        bench.watch.advance()
    assert (FakeProbes.attached, bench.watch.is_busy) == ([7], False)
    bench.watch.review()
    assert FakeProbes.attached == [7], "it was not quiet for longer than it was looked at"


def test_only_so_many_files_are_searched_at_once_and_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(files=3)
    with monkeypatch.context() as held:
        held.setattr(FakeSearch, "is_held", True)
        for pid in range(1, MOST_PROCESSES + 10):
            bench.tell(pid)
    assert len(bench.asked) == MOST_PROCESSES
    rounds = 0
    while bench.watch.is_busy:
        assert sum(search.is_running for search in bench.searches) <= MOST_AT_ONCE
        begun = [search.begun for search in bench.searches]
        assert max(begun) - min(begun) < 3, "nobody is searched through before all others"
        bench.watch.advance()
        rounds += 1
    assert rounds <= 2 * MOST_PROCESSES * 3 / MOST_AT_ONCE + 2, "nor is anything left idle"
    assert len(FakeProbes.attached) == MOST_PROCESSES


def test_searches_are_left_in_the_end() -> None:
    bench = Bench(files=1)
    bench.tell(7)
    bench.watch.detach()
    assert bench.searches[0].is_abandoned
    assert not bench.watch.is_busy
