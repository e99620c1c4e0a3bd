# SPDX-License-Identifier: Apache-2.0
"""TLS objects that never see their sockets: bound by the hello random, and never to the wrong one."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache

import pytest

from otel_qtap.discovery.plan import LibraryPlan
from otel_qtap.model.events import ConnectionClosed, ConnectionObserved, DataCaptured
from otel_qtap.model.identity import Direction, PeerSource, Role
from otel_qtap.probes.spec import Hook
from tests.bpf.conftest import Tap, tapping
from tests.bpf.memory_bios import run, serving, sources, start, verdicts, without_role
from tests.support.pki import Pki

pytestmark = pytest.mark.bpf

Taps = Callable[..., Tap]

KERNELS = ("multi", "perf")
LIFECYCLE = (Hook.HANDSHAKE, Hook.SHUTDOWN, Hook.FREE, Hook.SET_FD, Hook.SET_BIO, Hook.CLEAR)


def stripped(plan: LibraryPlan) -> LibraryPlan:
    """Nor is any function known but those that read and write: no object's end is told."""
    sites = tuple(site for site in plan.sites if site.cookie & 0xFF not in LIFECYCLE)
    return replace(without_role(plan), sites=sites)


def all_of_it(plan: LibraryPlan) -> LibraryPlan:
    return plan


@pytest.fixture(scope="module")
def taps() -> Iterator[Taps]:
    """One session for each kernel and each ``alter``: to load and to detach takes seconds."""
    with ExitStack() as opened:

        @cache
        def tap(kernel: str, alter: Callable[[LibraryPlan], LibraryPlan] = all_of_it) -> Tap:
            return opened.enter_context(tapping(kernel, alter=alter))

        yield tap


@pytest.mark.parametrize("kernel", KERNELS)
def test_both_ends_in_one_process_are_told_apart_by_their_role(kernel: str, taps: Taps, pki: Pki) -> None:
    tap = taps(kernel)
    pid = run(tap, "both_ends", pki, 20)

    assert verdicts(tap, pid) == {"right": 20 * 3 * 8}
    assert sources(tap, pid) == {PeerSource.HELLO_RANDOM}
    roles = Counter(
        event.role for event in {e.connection: e for e in tap.of(ConnectionObserved, pid)}.values()
    )
    assert roles == {Role.CLIENT: 20, Role.SERVER: 20}


@pytest.mark.parametrize("kernel", KERNELS)
def test_both_ends_in_one_process_stay_unbound_where_nothing_tells_their_role(
    kernel: str, taps: Taps, pki: Pki
) -> None:
    tap = taps(kernel, without_role)
    pid = run(tap, "both_ends", pki, 20)

    assert verdicts(tap, pid) == {"unbound": 20 * 3 * 8}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("alter", [all_of_it, stripped], ids=["known", "stripped"])
def test_objects_where_others_were_are_bound_anew(
    kernel: str, alter: Callable[[LibraryPlan], LibraryPlan], taps: Taps, pki: Pki
) -> None:
    tap = taps(kernel, alter)
    with serving(pki) as (port, server):
        client = run(tap, "one_after_the_other", pki, port)

        assert verdicts(tap, client) == {"right": 400}
        assert verdicts(tap, server) == {"right": 400}
        if kernel == "multi":
            roles = {event.role for event in tap.of(ConnectionObserved, client) if event.local}
            assert roles == {Role.CLIENT}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_child_forked_after_the_handshake_is_bound(kernel: str, taps: Taps, pki: Pki) -> None:
    tap = taps(kernel)
    process = start("fork_after_the_handshake", pki)
    output, _ = process.communicate(timeout=30)
    tap.read()

    assert process.returncode == 0
    assert verdicts(tap, int(output)) == {"right": 6}
    assert verdicts(tap, process.pid) == {"right": 6}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("alter", [all_of_it, stripped], ids=["known", "stripped"])
def test_a_relay_in_the_same_process_leads_nobody_astray(
    kernel: str, alter: Callable[[LibraryPlan], LibraryPlan], taps: Taps, pki: Pki
) -> None:
    tap = taps(kernel, alter)
    pid = run(tap, "relay", pki)

    found = verdicts(tap, pid, [Direction.EGRESS])  # what is heard tells the ports beyond the relay
    assert found["wrong"] == 0
    assert found.total() == 4


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_a_callback_sends_elsewhere_binds_nothing(kernel: str, taps: Taps, pki: Pki) -> None:
    tap = taps(kernel)
    pid = run(tap, "talk_to_another_in_a_callback", pki)

    assert verdicts(tap, pid) == {"right": 8}


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_memory_of_a_closed_socket_is_another_s(kernel: str, taps: Taps, pki: Pki) -> None:
    tap = taps(kernel)
    pid = run(tap, "close_before_the_last_words", pki, 30)

    found = verdicts(tap, pid)
    assert found["wrong"] == 0
    assert found["right"] >= 2 * 30 * 8


def test_what_is_read_after_the_end_is_no_connection_of_its_own(taps: Taps, pki: Pki) -> None:
    tap = taps("multi")
    before = tap.counters.read()["no_socket"]
    pid = run(tap, "read_after_the_end", pki, 10)

    assert len({event.connection for event in tap.of(DataCaptured, pid)}) == 2 * 10
    assert len(tap.of(ConnectionClosed, pid)) <= 2 * 10
    assert verdicts(tap, pid) == {"right": 10 * 5}
    after = tap.counters.read()["no_socket"]
    assert after.events - before.events >= 10


@pytest.mark.parametrize("kernel", KERNELS)
def test_resumed_sessions_are_connections_of_their_own(kernel: str, taps: Taps, pki: Pki) -> None:
    tap = taps(kernel)
    pid = run(tap, "resume", pki)

    assert verdicts(tap, pid) == {"right": 5 * 8}


def test_what_was_forgotten_is_not_guessed(pki: Pki) -> None:
    """Maps of as many connections as the smallest host could have, and one process in place of many."""
    with tapping("multi", definitions={"QTAP_MAX_CONNECTIONS": 64, "QTAP_SHARE": 1 << 20}) as tap:
        pid = run(tap, "both_ends", pki, 200)

        found = verdicts(tap, pid)
        assert found["wrong"] == 0
        assert found.total() == 200 * 3 * 8
