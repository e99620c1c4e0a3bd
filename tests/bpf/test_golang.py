# SPDX-License-Identifier: Apache-2.0
"""Go's plaintext through real probes: every byte of both ends, on the right addresses."""

import hashlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from otel_qtap.model.events import ConnectionClosed, ConnectionObserved, HandshakeCompleted
from otel_qtap.model.identity import Direction, Endpoint, PeerSource
from tests.bpf.conftest import Tap, tapping
from tests.support.go_programs import go_program
from tests.support.pki import Pki, make_pki

pytestmark = pytest.mark.bpf

CONNECTIONS = 50
PROGRAMS = (
    "1.17/stripped",
    "1.20/stripped",
    "1.23/plain",
    "1.26/stripped",
    "1.26/pie",
    "1.26/external-pie",
    "1.26/no-section-headers",
    "1.26/debug",
)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def go_tap() -> Iterator[Tap]:
    """All programs of these tests probed together."""
    with tapping("multi", files=[str(go_program(*which.split("/"))) for which in PROGRAMS]) as tap:
        yield tap


@dataclass(frozen=True, kw_only=True)
class End:
    """A process that ended, with what it printed of its connections."""

    pid: int
    lines: list[str]

    @property
    def connections(self) -> list[Mapping[str, str | int]]:
        return [json.loads(line) for line in self.lines]


def start(program: Path, *arguments: object) -> "subprocess.Popen[str]":
    command = [str(program), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def talk(
    tap: Tap, pki: Pki, server: tuple[Path, list[object]], client: tuple[Path, list[object]]
) -> list[End]:
    """Run a server and a client that is told its port, to their ends."""
    serving = start(
        server[0], f"{server[1][0]}-server", pki.server.certificate, pki.server.key, *server[1][1:]
    )
    assert serving.stdout
    assert serving.stdin
    port = serving.stdout.readline().strip()
    mode, *rest = client[1]
    calling = start(client[0], mode, port, pki.ca, *rest)
    assert tap.read_until_end(calling) == 0
    serving.stdin.close()
    assert tap.read_until_end(serving) == 0
    ends = []
    for process in (serving, calling):
        assert process.stdout
        ends.append(End(pid=process.pid, lines=process.stdout.read().splitlines()))
    return ends


def seen(tap: Tap, pid: int) -> dict[tuple[str, str, str], dict[str, object]]:
    """What was captured of a process, by role and addresses, in the form that it prints itself."""
    observed = {event.connection: event for event in tap.of(ConnectionObserved, pid)}
    found: dict[tuple[str, str, str], dict[str, object]] = {}
    for (connection, direction), data in tap.streams(pid).items():
        of = observed[connection]
        key = (of.role.name.lower(), f"{of.local}", f"{of.remote}")
        assert of.local
        assert of.remote
        key = (
            of.role.name.lower(),
            f"{of.local.address}:{of.local.port}",
            f"{of.remote.address}:{of.remote.port}",
        )
        entry = found.setdefault(key, {})
        name = "Sent" if direction is Direction.EGRESS else "Received"
        assert name not in entry, "two connections with the same addresses"
        entry[name] = hashlib.sha256(data).hexdigest()
    return found


def said(end: End) -> dict[tuple[str, str, str], dict[str, object]]:
    """What a process says of itself."""
    return {
        (str(one["Role"]), str(one["Local"]), str(one["Remote"])): {
            name: one[name] for name in ("Sent", "Received") if one[f"{name}Bytes"]
        }
        for one in end.connections
    }


def assert_nothing_lost(tap: Tap) -> None:
    """Of plaintext; what everybody on this host says of handshakes may fill the control ring."""
    lost = tap.counters.read()
    assert not [reason for reason in ("ring_full", "call_too_large", "no_state") if lost[reason].events]


@pytest.mark.parametrize(
    ("server", "client", "memory", "version"),
    [
        ("1.17/stripped", "1.20/stripped", "heap", "1.2"),
        ("1.26/pie", "1.23/plain", "heap", "1.3"),
        ("1.26/external-pie", "1.26/no-section-headers", "heap", "1.3"),
        ("1.26/debug", "1.26/debug", "stack", "1.3"),
        ("1.26/stripped", "1.26/stripped", "stack", "1.2"),
    ],
)
def test_raw_streams_are_exact_at_both_ends(
    go_tap: Tap, pki: Pki, server: str, client: str, memory: str, version: str
) -> None:
    serving, calling = (go_program(*which.split("/")) for which in (server, client))
    ends = talk(
        go_tap,
        pki,
        (serving, ["raw", memory]),
        (calling, ["raw-client", memory, CONNECTIONS, version]),
    )

    assert_nothing_lost(go_tap)
    for end in ends:
        assert len(end.connections) == CONNECTIONS
        assert seen(go_tap, end.pid) == said(end)
        observed = go_tap.of(ConnectionObserved, end.pid)
        assert {event.peer_source for event in observed} == {PeerSource.DESCRIPTOR}
        assert all(event.handshake_seen for event in observed)
        last = {event.connection: event for event in observed}
        assert all(event.client_random for event in last.values())
        assert len(go_tap.of(HandshakeCompleted, end.pid)) == CONNECTIONS
        assert {event.reason for event in go_tap.of(ConnectionClosed, end.pid)} == {"socket_closed"}


@pytest.mark.parametrize(("attach", "classic"), [("perf", False), ("multi", True)])
def test_every_way_of_attaching_sees_the_same(pki: Pki, attach: str, classic: bool) -> None:
    program = go_program("1.26", "stripped")
    with tapping(attach, files=[str(program)], force_classic=classic) as tap:
        ends = talk(tap, pki, (program, ["raw", "stack"]), (program, ["raw-client", "heap", 5, "1.3"]))

        assert_nothing_lost(tap)
        for end in ends:
            assert seen(tap, end.pid) == said(end)


def test_a_net_conn_that_is_wrapped_is_looked_through(go_tap: Tap, pki: Pki) -> None:
    program = go_program("1.26", "stripped")
    ends = talk(go_tap, pki, (program, ["raw", "heap"]), (program, ["raw-client", "wrapped", 5, "1.3"]))

    for end in ends:
        assert seen(go_tap, end.pid) == said(end)


def test_what_is_written_to_a_closed_descriptor_is_dropped_and_counted(go_tap: Tap, pki: Pki) -> None:
    program = go_program("1.26", "stripped")
    before = go_tap.counters.read()["no_socket"]
    _, client = talk(go_tap, pki, (program, ["raw", "heap"]), (program, ["closed"]))

    assert list(go_tap.streams(client.pid).values()) == [bytes(4)]
    lost = go_tap.counters.read()["no_socket"]
    assert (lost.events - before.events, lost.bytes - before.bytes) == (1, len(b"goes nowhere"))


def test_a_conn_at_the_address_of_another_is_another_connection(go_tap: Tap, pki: Pki) -> None:
    program, times = go_program("1.26", "stripped"), 200
    ends = talk(go_tap, pki, (program, ["raw", "heap"]), (program, ["reused", times]))

    _, client = ends
    for end in ends:
        assert len(end.connections) == times
        assert seen(go_tap, end.pid) == said(end)
    handles = [event.connection.handle for event in go_tap.of(ConnectionClosed, client.pid)]
    assert len(handles) > len(set(handles)), "no address was used twice: this proved nothing"


@pytest.mark.parametrize("version", ["1", "2"])
def test_http_is_the_same_at_both_ends(go_tap: Tap, pki: Pki, version: str) -> None:
    server, client = go_program("1.20", "stripped"), go_program("1.26", "stripped")
    ends = talk(go_tap, pki, (server, ["http"]), (client, ["http-client", version, CONNECTIONS, 20]))

    assert_nothing_lost(go_tap)
    serving, calling = (by_addresses(go_tap, end.pid) for end in ends)
    known = {(remote, local) for local, remote, _ in calling}
    for _, _, direction in (key for key in serving if key[:2] not in known):
        # A client that has more connections than it needs closes some at once.
        assert direction is Direction.EGRESS
        assert version == "2"
    for (local, remote, direction), sent in calling.items():
        received = serving.get((remote, local, Direction(1 - direction)), b"")
        # Whoever closes first may leave a farewell unread.
        shorter, longer = sorted((sent, received), key=len)
        assert longer.startswith(shorter)
        assert len(longer) - len(shorter) <= (0 if version == "1" else 64)
        start = b"PRI * HTTP/2.0" if version == "2" else b"POST /client/"
        if direction is Direction.EGRESS and sent:
            assert sent.startswith(start)
    if version == "1":
        requests = b"".join(data for (_, _, way), data in calling.items() if way is Direction.EGRESS)
        assert requests.count(b"POST /client/") == CONNECTIONS * 20


def by_addresses(tap: Tap, pid: int) -> dict[tuple[Endpoint, Endpoint, Direction], bytes]:
    """Streams of a process by the local and the remote address."""
    observed = {event.connection: event for event in tap.of(ConnectionObserved, pid)}
    found = {}
    for (connection, direction), data in tap.streams(pid).items():
        local, remote = observed[connection].local, observed[connection].remote
        assert local
        assert remote
        found[local, remote, direction] = data
    return found


def test_connections_through_no_socket_are_told_apart_by_their_handshakes(go_tap: Tap, pki: Pki) -> None:
    program, times = go_program("1.26", "stripped"), 30
    process = start(program, "piped", pki.server.certificate, pki.server.key, pki.ca, times)
    assert go_tap.read_until_end(process) == 0

    expected = sorted([b"connection %d" % number for number in range(times)] * 4)
    assert sorted(go_tap.streams(process.pid).values()) == expected
    observed = go_tap.of(ConnectionObserved, process.pid)
    assert {event.peer_source for event in observed} == {PeerSource.NONE}
    assert len({event.connection.handle for event in observed}) < 2 * times, "no address was used twice"
