# SPDX-License-Identifier: Apache-2.0
"""When positions are said to count from the handshake: only where both ends must come to the same."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from otel_qtap.agent.file_numbers import FileNumbers
from otel_qtap.capture.syscalls import map_delete, map_items, map_update
from otel_qtap.model.events import ConnectionObserved, DataCaptured
from otel_qtap.model.identity import Direction, Role
from tests.bpf.conftest import Tap, tapping
from tests.bpf.test_openssl import CONNECT
from tests.support.pki import Pki
from tests.support.tls_servers import running_cpython_server, running_raw_echo

pytestmark = pytest.mark.bpf

SOURCE = Path(__file__).parents[1] / "support" / "programs" / "openssl_calls.c"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("openssl") / "openssl_calls"
    subprocess.run(["gcc", "-o", binary, SOURCE, "-lssl", "-lcrypto", "-lpthread"], check=True)
    return binary


def calls(tap: Tap, program: Path, pki: Pki, mode: str) -> list[ConnectionObserved]:
    """What is known in the end of each connection of one run, in the order in which they began."""
    process = subprocess.Popen([program, pki.server.certificate, pki.server.key, mode], text=True)
    assert tap.read_until_end(process) == 0
    return last_known(tap, process.pid)


def last_known(tap: Tap, pid: int) -> list[ConnectionObserved]:
    observed = sorted(tap.of(ConnectionObserved, pid), key=lambda event: event.timestamp_ns)
    return list({event.connection: event for event in observed}.values())


def first_known(tap: Tap, pid: int) -> list[ConnectionObserved]:
    """What was known of each connection when it first carried something."""
    known: dict[object, ConnectionObserved] = {}
    carried: dict[object, ConnectionObserved] = {}
    for event in tap.events:
        if isinstance(event, ConnectionObserved) and event.connection.tgid == pid:
            known[event.connection] = event
        elif isinstance(event, DataCaptured) and event.connection.tgid == pid:
            carried.setdefault(event.connection, known[event.connection])
    return list(carried.values())


def start(script: str, port: int, pki: Pki) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CONNECT + script, str(port), str(pki.ca)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


ONE_LINE_EACH = """
tls = connect(sys.argv[1], sys.argv[2])
print("connected", flush=True)
for line in sys.stdin:
    tls.sendall(line.encode())
    receive(tls, len(line))
    print("answered", flush=True)
"""


def say(client: "subprocess.Popen[str]", text: str) -> None:
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(text + "\n")
    client.stdin.flush()
    assert client.stdout.readline() == "answered\n"


@pytest.mark.parametrize("mode", ["plain", "set_bio", "set0_rbio", "filter"])
def test_both_ends_know_the_same_random_and_count_from_its_handshake(
    shared_tap: Tap, program: Path, pki: Pki, mode: str
) -> None:
    client, server = calls(shared_tap, program, pki, mode)

    assert {client.role, server.role} == {Role.CLIENT, Role.SERVER}
    assert client.client_random == server.client_random != b""
    assert client.from_handshake
    assert server.from_handshake


def test_a_file_without_a_number_does_not_tell_since_when_it_is_probed(
    monkeypatch: pytest.MonkeyPatch, program: Path, pki: Pki
) -> None:
    monkeypatch.setattr(FileNumbers, "take", lambda _numbers, _layout: 0)
    with tapping("multi") as tap:
        ends = calls(tap, program, pki, "plain")

        assert [(end.file, end.from_handshake) for end in ends] == [(0, False)] * 2
        assert ends[0].client_random == ends[1].client_random != b""


def test_each_use_of_an_object_counts_from_its_handshake(shared_tap: Tap, program: Path, pki: Pki) -> None:
    ends = calls(shared_tap, program, pki, "clear")

    assert [end.from_handshake for end in ends] == [True] * 4
    assert len({end.client_random for end in ends}) == 2


def test_a_client_that_sent_early_data_does_not_count_from_the_handshake(
    shared_tap: Tap, program: Path, pki: Pki
) -> None:
    """The server may have refused it: then the two would not count the same bytes."""
    ends = calls(shared_tap, program, pki, "early")

    early = [end for end in ends if end.client_random == ends[-1].client_random]
    assert {end.role: end.from_handshake for end in early} == {Role.CLIENT: False, Role.SERVER: True}
    assert sum(end.from_handshake for end in ends) == 3


def test_without_a_socket_nothing_tells(shared_tap: Tap, program: Path, pki: Pki) -> None:
    assert not any(end.from_handshake for end in calls(shared_tap, program, pki, "memory"))


def test_where_only_sends_are_seen_the_objects_tell_the_rest(tap: Tap, program: Path, pki: Pki) -> None:
    ends = calls(tap, program, pki, "plain")

    if all(end.file for end in ends):
        assert [end.from_handshake for end in ends] == [True, True]
        assert len({end.client_random for end in ends}) == 1
    else:  # kernels without cookies of probes: no file, no layout, no time of attachment
        assert [end.from_handshake for end in ends] == [False, False]


def test_a_connection_that_was_there_before_the_probes_is_not_counted(shared_tap: Tap, pki: Pki) -> None:
    with running_raw_echo(pki) as server:
        client = start(ONE_LINE_EACH, server.port, pki)
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        # As if the file had been probed only now: after the hello, before the first byte.
        number = last_known_file(shared_tap)
        map_update(
            shared_tap.session.maps["probed_since"],
            struct.pack("<I", number),
            struct.pack("<Q", time.clock_gettime_ns(time.CLOCK_BOOTTIME)),
        )
        say(client, "late")
        client.communicate()
        shared_tap.read()

        for pid in (client.pid, server.pid):
            assert [end.from_handshake for end in last_known(shared_tap, pid)] == [False]


def last_known_file(tap: Tap) -> int:
    tap.read()
    return next(e.file for e in reversed(tap.events) if isinstance(e, ConnectionObserved))


def test_what_was_excluded_before_is_not_counted(shared_tap: Tap, pki: Pki) -> None:
    with running_raw_echo(pki) as server:
        client = start(ONE_LINE_EACH, server.port, pki)
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        map_update(shared_tap.session.maps["probed_since"], struct.pack("<I", 0), struct.pack("<Q", now))
        say(client, "late")
        client.communicate()
        shared_tap.read()

        assert [end.from_handshake for end in last_known(shared_tap, client.pid)] == [False]


def test_a_state_that_was_forgotten_and_found_anew_is_not_counted(shared_tap: Tap, pki: Pki) -> None:
    connections = shared_tap.session.maps["connections"]
    with running_raw_echo(pki) as server:
        client = start(ONE_LINE_EACH, server.port, pki)
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        say(client, "counted")
        for key, _ in list(map_items(connections)):
            if struct.unpack("<QI4x", key)[1] == client.pid:
                map_delete(connections, key)
        say(client, "not counted")
        client.communicate()
        shared_tap.read()

        assert [end.from_handshake for end in last_known(shared_tap, client.pid)] == [True, False]


def test_a_child_goes_on_counting_where_its_parent_stopped(shared_tap: Tap, pki: Pki) -> None:
    script = """
tls = connect(sys.argv[1], sys.argv[2])
tls.sendall(b"parent")
receive(tls, 6)
if os.fork() == 0:
    tls.sendall(b"child")
    receive(tls, 5)
    print(os.getpid(), flush=True)
    os._exit(0)
os.wait()
"""
    with running_raw_echo(pki) as server:
        client = start(script, server.port, pki)
        output, _ = client.communicate()
        shared_tap.read()

        (parent,) = last_known(shared_tap, client.pid)
        (child,) = last_known(shared_tap, int(output))
        assert parent.client_random == child.client_random != b""
        assert (parent.from_handshake, child.from_handshake) == (True, True)
        sent = [e for e in shared_tap.of(DataCaptured, int(output)) if e.direction is Direction.EGRESS]
        assert [(event.position, event.data) for event in sent] == [(6, b"child")]


def test_a_server_that_forks_after_the_handshake_counts_from_it(shared_tap: Tap, pki: Pki) -> None:
    with running_cpython_server(pki, fork=True) as server:
        script = """
tls = connect(sys.argv[1], sys.argv[2])
tls.sendall(b"GET / HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n")
while tls.recv(4096):
    pass
"""
        client = start(script, server.port, pki)
        client.communicate()
        shared_tap.read()

        ends = [e for e in shared_tap.events if isinstance(e, DataCaptured) and e.position == 0]
        children = {e.connection.tgid for e in ends} - {client.pid, server.pid, os.getpid()}
        randoms = {end.client_random for pid in children for end in first_known(shared_tap, pid)}
        assert last_known(shared_tap, client.pid)[0].client_random in randoms
        (child,) = (
            end
            for pid in children
            for end in first_known(shared_tap, pid)
            if end.client_random == last_known(shared_tap, client.pid)[0].client_random
        )
        assert child.from_handshake
