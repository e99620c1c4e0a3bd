# SPDX-License-Identifier: Apache-2.0
"""A million events of programs that keep TLS apart from their sockets: none is bound to the wrong one.

Connections that were made before the probes came, connections that live long, and short ones whose objects
and sockets lie where others were a moment ago; 50 at a time in each runtime, all runtimes at once.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from otel_qtap.agent.ciphertext import CiphertextWatch
from otel_qtap.agent.probed_files import ProbedFiles
from otel_qtap.capture.attach import Tracepoints
from otel_qtap.capture.records import Kind, process_notice
from otel_qtap.capture.ring import Counters, RingBuffer
from otel_qtap.capture.session import KernelSession
from otel_qtap.discovery.ciphertext_files import CiphertextFiles, CiphertextSearch
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.scan import LibraryScanner
from tests.bpf.conftest import new_session
from tests.matrix.row import Place, Row
from tests.matrix.rows import ROWS
from tests.matrix.running import client, new_place, serving
from tests.matrix.tally import Tally
from tests.support import procfs
from tests.support.cache import cache_root
from tests.support.figures import Figures
from tests.support.pki import Pki

pytestmark = pytest.mark.bench

EVENTS = int(os.environ.get("OTEL_QTAP_TEST_BINDING_EVENTS", "1000000"))
RUNTIMES = ("asyncio", "uvloop", "Node.js 20", "Node.js 24", "Bun 1.4", "Go 1.23")
SMALL = {"MATRIX_SIZES": "20,60,150,220", "MATRIX_AT_ONCE": "50"}
LONGEST_SECONDS = 900.0
FOREVER = 10**9


class Observation:
    """The kernel side at work, its rings read by whoever calls ``read``."""

    def __init__(self, session: KernelSession, plans: Path) -> None:
        maps = session.maps
        locator = LibraryLocator(plans)
        self.tally = Tally()
        self._data = RingBuffer(maps["data_ring"], session.data_ring_bytes)
        self._control = RingBuffer(maps["control_ring"], session.control_ring_bytes)
        self._handshakes = RingBuffer(maps["handshake_ring"], session.handshake_ring_bytes)
        self._notices = RingBuffer(maps["process_ring"], session.process_ring_bytes)
        self.counters = Counters(maps["counters"])
        self._tracepoints = Tracepoints(session)
        self._files = ProbedFiles(session, LibraryScanner(locator), grace_seconds=3600)
        self._files.follow(wait=True)
        self._found = CiphertextFiles(locator)
        self._watch = CiphertextWatch(session, self._search)

    def _search(self, pid: int) -> CiphertextSearch:
        named = [file.path for file in self._files.verdicts(pid) if "openssl" in file.libraries]
        return self._found.search(pid, named)

    def read(self) -> None:
        """Take what the rings hold."""
        self._data.drain(self.tally.judge, 8 << 20)
        for ring in (self._control, self._handshakes):
            ring.drain(lambda *_: None, ring.size)
        self._notices.drain(self._take_notice, self._notices.size)
        self._watch.advance()
        self._watch.review()

    def _take_notice(self, memory: memoryview, at: int, _size: int) -> None:
        notice = process_notice(memory, at)
        if notice.kind is Kind.PROCESS_UNBOUND:
            self._watch.notice(notice)

    def forget(self) -> None:
        """Begin another count."""
        self.read()
        self.tally.names.clear()
        self.tally.verdicts.clear()
        self.tally.connections.clear()
        self.tally.events = 0

    def close(self) -> None:
        self._watch.detach()
        self._files.detach()
        self._tracepoints.detach()


@contextmanager
def talking(rows: list[Row], place: Place, connections: int, rounds: int) -> Iterator[dict[int, str]]:
    """Both ends of each row, at work until the block ends; which process is what."""
    names: dict[int, str] = {}
    with ExitStack() as stack:
        for row in rows:
            assert row.client
            assert row.server
            here = new_place(place, connections=connections, rounds=rounds)
            server = stack.enter_context(serving(row.server, here))
            process = stack.enter_context(client(row.client, here._replace(port=server.port)))
            names |= dict.fromkeys({process.pid, *procfs.descendants(process.pid), *server.pids}, row.runtime)
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        yield names


def watch_until(seen: Observation, events: int, names: dict[int, str]) -> dict[str, Counter[str]]:
    """Judge until there were so many events, and some of each runtime; the verdicts by runtime."""
    seen.tally.add(names)
    runtimes, verdicts = set(names.values()), seen.tally.verdicts
    deadline = time.monotonic() + LONGEST_SECONDS
    while seen.tally.events < events or any(verdicts[one].total() < events // 50 for one in runtimes):
        seen.read()
        time.sleep(0.003)
        assert time.monotonic() < deadline, f"{seen.tally.events} events only: {dict(seen.tally.verdicts)}"
    verdicts = {name: Counter(found) for name, found in seen.tally.verdicts.items()}
    for name, found in verdicts.items():
        found["connections"] = len(seen.tally.connections[name])
    seen.forget()
    return verdicts


def test_no_event_of_a_million_is_bound_to_the_wrong_socket(
    pki: Pki, tmp_path: Path, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    rows = [row for row in ROWS if row.runtime in RUNTIMES and row.protocol == "raw"]
    place = Place(pki, tmp_path, 0, 0, 0)
    found: dict[str, dict[str, Counter[str]]] = {}
    session = new_session("multi")
    with ExitStack() as stack:
        with talking(rows, place, connections=50, rounds=FOREVER) as names:
            time.sleep(2)  # all are in the midst of it
            seen = Observation(session, cache_root() / "plans")
            stack.callback(session.close)
            stack.callback(seen.close)
            seen.forget()  # what came while files were searched, one after the other
            found["met before"] = watch_until(seen, EVENTS * 2 // 5, names)
        with talking(rows, place, connections=50, rounds=FOREVER) as names:
            found["long"] = watch_until(seen, EVENTS * 2 // 5, names)
        with talking(rows, place, connections=FOREVER, rounds=2) as names:
            found["short"] = watch_until(seen, EVENTS // 5, names)
        lost = seen.counters.read()
    for kind, verdicts in found.items():
        for runtime, counted in verdicts.items():
            events = sum(counted[verdict] for verdict in ("right", "wrong", "mixed", "unbound", "untold"))
            note = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counted.items()))
            figures.report(f"{kind}, {runtime}: wrong", counted["wrong"], "events", at_most=0, note=note)
            figures.report(f"{kind}, {runtime}: unbound", 100 * counted["unbound"] / events, "%")
    everything = [counted for verdicts in found.values() for counted in verdicts.values()]
    assert sum(counted["right"] for counted in everything) > EVENTS // 2
    assert sum(counted["wrong"] + counted["mixed"] for counted in everything) == 0
    print({reason: tuple(loss) for reason, loss in lost.items()})
