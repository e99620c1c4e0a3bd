# SPDX-License-Identifier: Apache-2.0
"""Runs the program of memory BIOs before a tap and says which of its events were bound rightly."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from otel_qtap.discovery.plan import LibraryPlan
from otel_qtap.model.events import ConnectionObserved, DataCaptured
from otel_qtap.model.identity import ConnectionId, Direction, PeerSource
from tests.bpf.conftest import Tap
from tests.support.clients import python_program
from tests.support.pki import Pki
from tests.support.subprocesses import end


def without_role(plan: LibraryPlan) -> LibraryPlan:
    """As a stripped library may be: nothing tells which end an object is."""
    return replace(plan, layout=replace(plan.layout, role=None, type=None))


def start(mode: str, pki: Pki, *number: int) -> "subprocess.Popen[str]":
    files = map(str, (pki.server.certificate, pki.server.key, pki.ca))
    return subprocess.Popen(
        python_program("memory_bios.py", mode, *files, *map(str, number)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run(tap: Tap, mode: str, pki: Pki, *number: int) -> int:
    """Run a program to its end; returns its process id."""
    process = start(mode, pki, *number)
    assert tap.read_until_end(process) == 0
    return process.pid


@contextmanager
def serving(pki: Pki) -> Iterator[tuple[int, int]]:
    """A server of memory BIOs: its port and its process id."""
    process = start("serve", pki)
    assert process.stdout
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        end(process)


def verdicts(tap: Tap, pid: int, directions: Sequence[Direction] = tuple(Direction)) -> Counter[str]:
    """Events by what was known of their socket when they came, told by the ports in what was said."""
    found: Counter[str] = Counter()
    facts: dict[ConnectionId, ConnectionObserved] = {}
    truth: dict[ConnectionId, tuple[int, int]] = {}
    for event in tap.events:
        if isinstance(event, ConnectionObserved):
            facts[event.connection] = event
        if not isinstance(event, DataCaptured) or event.connection.tgid != pid:
            continue
        if event.direction not in directions:
            continue
        said = re.match(rb"P(\d+),(\d+);", event.data)
        assert said, event.data[:40]
        ports = int(said[1]), int(said[2])
        ports = ports if event.direction is Direction.EGRESS else ports[::-1]
        assert truth.setdefault(event.connection, ports) == ports, "two connections are taken for one"
        known = facts[event.connection]
        if known.local is None or known.remote is None:
            found["unbound"] += 1
        else:
            found["right" if (known.local.port, known.remote.port) == ports else "wrong"] += 1
    return found


def sources(tap: Tap, pid: int) -> set[PeerSource]:
    return {event.peer_source for event in tap.of(ConnectionObserved, pid)}
