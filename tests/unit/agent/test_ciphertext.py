# SPDX-License-Identifier: Apache-2.0
"""Who is looked at, for how long, and who is left alone; tests/bpf/test_ciphertext.py binds with it."""

import pytest

from otel_qtap.agent import ciphertext
from otel_qtap.agent.ciphertext import (
    LONGEST_SECONDS,
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


class Bench:
    """A watch with a clock that stands still."""

    def __init__(self, plans: list[LibraryPlan] | None = None) -> None:
        self.now = 1000.0
        self.asked: list[int] = []
        self.plans = [PLAN] if plans is None else plans
        self.watch = CiphertextWatch(NO_SESSION, self._of, lambda: self.now)

    def _of(self, pid: int) -> list[LibraryPlan]:
        self.asked.append(pid)
        return self.plans

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
