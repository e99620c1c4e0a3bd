# SPDX-License-Identifier: Apache-2.0
"""Connections that were made before the agent came are bound by their ciphertext, rightly or not at all."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from otel_qtap.agent.ciphertext import QUIET_SECONDS, CiphertextWatch
from otel_qtap.capture.records import Kind, ProcessNotice
from otel_qtap.capture.syscalls import map_lookup
from otel_qtap.discovery.ciphertext_files import CiphertextFiles
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.plan import LibraryPlan
from otel_qtap.model.identity import Direction, PeerSource
from tests.bpf.conftest import Tap, tapping
from tests.bpf.memory_bios import sources, start, verdicts
from tests.support.pki import Pki

pytestmark = pytest.mark.bpf

PAIRS = 10


@contextmanager
def met_before(pki: Pki, mode: str = "meet_before") -> Iterator["subprocess.Popen[str]"]:
    """A process with open connections, each of which has a round for each line it is told."""
    process = start(mode, pki, PAIRS)
    assert process.stdout
    assert process.stdin
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
        process.stdout.close()


def one_round(process: "subprocess.Popen[str]", tap: Tap) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    tap.read()


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def watch_over(tap: Tap, clock: Callable[[], float] = time.monotonic) -> CiphertextWatch:
    return CiphertextWatch(tap.session, CiphertextFiles(LibraryLocator(None)).search, clock)


def tell(watch: CiphertextWatch, notice: ProcessNotice) -> None:
    """Have it look at a process, and wait until it does."""
    watch.notice(notice)
    while watch.is_busy:
        watch.advance()


def unbound(tap: Tap, pid: int) -> list[ProcessNotice]:
    return [n for n in tap.notices if n.kind is Kind.PROCESS_UNBOUND and n.tgid == pid]


def without_randoms(plan: LibraryPlan) -> LibraryPlan:
    return replace(plan, layout=replace(plan.layout, client_random=None, server_random=None))


def is_watched_by_kernel(tap: Tap) -> bool:
    return map_lookup(tap.session.maps["watched"], bytes(4), 4) != bytes(4)


@pytest.mark.parametrize("kernel", ["multi", "perf"])
def test_connections_made_before_are_bound(kernel: str, pki: Pki) -> None:
    with met_before(pki) as process, tapping(kernel) as tap:
        one_round(process, tap)
        assert verdicts(tap, process.pid) == {"unbound": PAIRS * 8}
        (notice,) = unbound(tap, process.pid)

        clock = Clock()
        watch = watch_over(tap, clock)
        tell(watch, notice)
        one_round(process, tap)
        first = verdicts(tap, process.pid)
        one_round(process, tap)
        second = verdicts(tap, process.pid)

        assert watch.processes == {process.pid}
        assert second - first == Counter(right=PAIRS * 8)
        assert "wrong" not in second
        assert PeerSource.CIPHERTEXT in sources(tap, process.pid)

        clock.now += QUIET_SECONDS
        watch.review()
        assert watch.processes == frozenset()
        assert not is_watched_by_kernel(tap)


@pytest.mark.parametrize("kernel", ["multi", "perf"])
def test_ciphertext_that_a_relay_sends_once_more_misleads_nobody(kernel: str, pki: Pki) -> None:
    with met_before(pki, "meet_before_with_relays") as process, tapping(kernel) as tap:
        one_round(process, tap)
        watch = watch_over(tap)
        tell(watch, unbound(tap, process.pid)[0])
        one_round(process, tap)
        before = verdicts(tap, process.pid, [Direction.EGRESS])
        one_round(process, tap)

        assert verdicts(tap, process.pid, [Direction.EGRESS]) - before == Counter(right=PAIRS * 4)
        watch.detach()


def test_ciphertext_alone_is_enough(pki: Pki) -> None:
    """Nothing is known of where the randoms are."""
    with met_before(pki) as process, tapping("multi", alter=without_randoms) as tap:
        one_round(process, tap)
        watch = watch_over(tap)
        tell(watch, unbound(tap, process.pid)[0])
        one_round(process, tap)
        one_round(process, tap)

        found = verdicts(tap, process.pid)
        assert found["wrong"] == 0
        assert found["right"] >= PAIRS * 8
        watch.detach()


def test_the_supervisor_is_told_once_a_second_at_most(pki: Pki) -> None:
    with met_before(pki) as process, tapping("multi") as tap:
        began = time.monotonic()
        for _ in range(5):
            one_round(process, tap)

        assert 1 <= len(unbound(tap, process.pid)) <= 1 + int(time.monotonic() - began)


def test_nobody_else_is_probed(pki: Pki) -> None:
    with met_before(pki) as process, met_before(pki) as other, tapping("multi") as tap:
        one_round(process, tap)
        watch = watch_over(tap)
        tell(watch, unbound(tap, process.pid)[0])
        for _ in range(2):
            one_round(process, tap)
            one_round(other, tap)

        assert set(verdicts(tap, other.pid)) == {"unbound"}
        assert verdicts(tap, process.pid)["right"] > 0
        watch.detach()
