# SPDX-License-Identifier: Apache-2.0
"""A kernel session of the tests' own: programs loaded, the system's OpenSSL probed, rings read here."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from otel_qtap.agent.file_numbers import FileNumbers
from otel_qtap.agent.probed_files import sites_of
from otel_qtap.capture.attach import Probes, Tracepoints, detach_together
from otel_qtap.capture.decode import Decoder
from otel_qtap.capture.records import ProcessNotice, process_notice
from otel_qtap.capture.ring import Counters, RingBuffer
from otel_qtap.capture.session import KernelSession, Loading
from otel_qtap.discovery.libraries import LibraryLocator, LibraryPlan
from otel_qtap.model.events import DataCaptured, KernelEvent
from otel_qtap.model.identity import ConnectionId, Direction
from tests.support.cache import compiled_programs
from tests.support.old_kernel import offsets_for

LIBSSL = "/usr/lib/x86_64-linux-gnu/libssl.so.3"
Event = TypeVar("Event", bound=KernelEvent)


@dataclass
class Tap:
    """What the probes of one test saw."""

    session: KernelSession
    data: RingBuffer
    control: RingBuffer
    handshakes: RingBuffer
    process: RingBuffer
    counters: Counters
    events: list[KernelEvent] = field(default_factory=list)
    notices: list[ProcessNotice] = field(default_factory=list)
    _decoder: Decoder = field(default_factory=Decoder)

    def read(self) -> None:
        """Take all that the rings hold: handshakes, data, then what was said about connections.

        Processes of others write into them as well, so one drain may end at a record that is not whole.
        """
        for ring in (self.handshakes, self.data, self.control):
            end = ring.producer_position
            while ring.consumer_position < end:
                ring.drain(self._decoder.decode, ring.size)
        self.events += self._decoder.events
        self._decoder.events = []
        self.process.drain(lambda memory, at, _: self.notices.append(process_notice(memory, at)), 1 << 20)

    def read_until_end(self, process: "subprocess.Popen[str]") -> int:
        """Read while a process runs, so that what others on this host say does not fill the rings."""
        while process.poll() is None:
            self.read()
            time.sleep(0.005)
        self.read()
        return process.returncode

    def of(self, kind: type[Event], pid: int) -> list[Event]:
        """Events of one kind of one process."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and (getattr(event, "connection", None) or event.process).tgid == pid
        ]

    def streams(self, pid: int) -> dict[tuple[ConnectionId, Direction], bytes]:
        """What each connection of a process carried; fails on a hole."""
        found: dict[tuple[ConnectionId, Direction], bytes] = {}
        for event in sorted(self.of(DataCaptured, pid), key=lambda event: event.position):
            key = (event.connection, event.direction)
            assert len(found.setdefault(key, b"")) == event.position, "a hole in the stream"
            assert len(event.data) == event.size
            found[key] += event.data
        return found


def new_session(attach: str, definitions: Mapping[str, int] | None = None) -> KernelSession:
    """A session as on a kernel of that kind; ``definitions`` are further -D flags."""
    return Loading(
        interpreter="/usr/bin/python3",
        offsets=lambda: {**offsets_for(attach), **(definitions or {})},
        attach="multi" if attach == "multi" else "perf",
        data_ring_bytes=64 << 20,
        cache=compiled_programs(attach),
    ).result()


@pytest.fixture(params=["multi/auto", "multi/classic", "perf/auto", "plain/auto"])
def tap(request: pytest.FixtureRequest) -> Iterator[Tap]:
    attach, sites = request.param.split("/")
    with tapping(attach, force_classic=sites == "classic") as tap:
        yield tap


@pytest.fixture
def multi_tap() -> Iterator[Tap]:
    with tapping("multi") as tap:
        yield tap


@pytest.fixture(scope="module")
def shared_tap() -> Iterator[Tap]:
    """One for all tests of a module, which tell their own events from the others'."""
    with tapping("multi") as tap:
        yield tap


@contextmanager
def tapping(
    attach: str,
    *,
    files: Sequence[str] = (LIBSSL,),
    force_classic: bool = False,
    alter: Callable[[LibraryPlan], LibraryPlan] = lambda plan: plan,
    definitions: Mapping[str, int] | None = None,
) -> Iterator[Tap]:
    """These TLS libraries probed, by what ``alter`` leaves of what is known of them."""
    session = new_session(attach, definitions)
    locator = LibraryLocator(None, force_classic=force_classic)
    tracepoints = Tracepoints(session)
    numbers = FileNumbers(session)
    probes = []
    for path in files:
        plan = alter(locator.locate(path))
        assert plan.sites, plan.refusals
        number = numbers.take(plan.layout)
        probes.append(Probes(session, path, sites_of(plan, number)))
        numbers.attached(number)
    maps = session.maps
    yield Tap(
        session=session,
        data=RingBuffer(maps["data_ring"], session.data_ring_bytes),
        control=RingBuffer(maps["control_ring"], session.control_ring_bytes),
        handshakes=RingBuffer(maps["handshake_ring"], session.handshake_ring_bytes),
        process=RingBuffer(maps["process_ring"], session.process_ring_bytes),
        counters=Counters(maps["counters"]),
    )
    detach_together(probes)
    tracepoints.detach()
    session.close()
