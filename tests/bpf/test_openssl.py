# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's plaintext through real probes: every byte, both ends, the right socket, the right end."""

import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from otel_qtap.capture.records import Kind
from otel_qtap.capture.syscalls import map_lookup, map_update
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.model.events import (
    ConnectionClosed,
    ConnectionObserved,
    DataCaptured,
    DirectionClosed,
    HandshakeCompleted,
    ProcessExited,
)
from otel_qtap.model.identity import Direction, PeerSource, Role
from tests.bpf.conftest import Tap
from tests.support.pki import Pki, make_pki
from tests.support.tls_servers import TlsServer, running_raw_echo

pytestmark = pytest.mark.bpf

CONNECT = """
import os, socket, ssl, sys, threading

def connect(port, ca):
    context = ssl.create_default_context(cafile=ca)
    plain = socket.create_connection(("localhost", int(port)))
    return context.wrap_socket(plain, server_hostname="localhost")

def receive(tls, size):
    parts = []
    while size:
        parts.append(tls.recv(size))
        size -= len(parts[-1])
    return b"".join(parts)
"""

CLIENT = """
size, rounds = int(sys.argv[3]), int(sys.argv[4])
with connect(sys.argv[1], sys.argv[2]) as tls:
    for number in range(rounds):
        message = os.urandom(size)
        tls.sendall(message)
        assert receive(tls, size) == message
"""


def start(
    script: str, *arguments: object, stdin: int = subprocess.DEVNULL, wrapper: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """Run a client in a process of its own."""
    return subprocess.Popen(
        [*wrapper, sys.executable, "-c", CONNECT + textwrap.dedent(script), *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


def talk(server: TlsServer, pki: Pki, *, size: int, rounds: int = 1) -> int:
    """Have a client of its own process talk to the echo server; returns its pid when it is done."""
    client = start(CLIENT, server.port, pki.ca, size, rounds)
    client.communicate(timeout=60)
    assert client.returncode == 0
    return client.pid


@pytest.mark.parametrize("size", [1, 255, 256, 257, 4096, 16383, 16384, 16385, 65536, 65537, 1 << 20])
def test_both_ends_see_the_same_bytes(multi_tap: Tap, pki: Pki, size: int) -> None:
    with running_raw_echo(pki) as server:
        client = talk(server, pki, size=size)
        multi_tap.read()

    sent, received = multi_tap.streams(client), multi_tap.streams(server.pid)
    assert {len(stream) for stream in sent.values()} == {size}
    assert sorted(sent.values()) == sorted(received.values())


def test_every_way_of_attaching_sees_the_same(tap: Tap, pki: Pki) -> None:
    with running_raw_echo(pki) as server:
        client = talk(server, pki, size=5000, rounds=7)
        tap.read()

    assert {len(stream) for stream in tap.streams(client).values()} == {35_000}
    assert sorted(tap.streams(client).values()) == sorted(tap.streams(server.pid).values())


def test_twenty_mebibytes_in_one_call(multi_tap: Tap, pki: Pki) -> None:
    script = """
        ca, certificate, key, size = *sys.argv[1:4], int(sys.argv[4])
        message = os.urandom(size)
        ends = socket.create_server(("127.0.0.1", 0))

        def serve():
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            with context.wrap_socket(ends.accept()[0], server_side=True) as tls:
                receive(tls, size)
                tls.sendall(message)

        thread = threading.Thread(target=serve)
        thread.start()
        with connect(ends.getsockname()[1], ca) as tls:
            tls.sendall(message)
            receive(tls, size)
        thread.join()
    """
    size = 20 << 20
    both = start(script, pki.ca, pki.server.certificate, pki.server.key, size)
    assert multi_tap.read_until_end(both) == 0

    lost = multi_tap.counters.read()
    assert not any(loss.events for loss in lost.values())
    streams = list(multi_tap.streams(both.pid).values())
    assert len(streams) == 4
    assert len(streams[0]) == size
    assert all(stream == streams[0] for stream in streams)


def test_each_end_knows_its_role_and_its_socket(multi_tap: Tap, pki: Pki) -> None:
    with running_raw_echo(pki) as server:
        client = talk(server, pki, size=10)
        multi_tap.read()

    (client_side,) = multi_tap.of(ConnectionObserved, client)[-1:]
    (server_side,) = multi_tap.of(ConnectionObserved, server.pid)[-1:]
    assert (client_side.role, server_side.role) == (Role.CLIENT, Role.SERVER)
    assert client_side.peer_source is server_side.peer_source is PeerSource.NESTED_SYSCALL
    assert client_side.remote == server_side.local
    assert client_side.local == server_side.remote
    assert client_side.remote is not None
    assert client_side.remote.port == server.port
    assert client_side.handshake_seen
    assert server_side.handshake_seen


def test_a_conversation_begins_and_ends(multi_tap: Tap, pki: Pki) -> None:
    with running_raw_echo(pki) as server:
        client = talk(server, pki, size=100)
        multi_tap.read()

    (handshake,) = multi_tap.of(HandshakeCompleted, client)
    (closed,) = multi_tap.of(ConnectionClosed, client)
    (exited,) = multi_tap.of(ProcessExited, client)
    assert handshake.started_ns < handshake.timestamp_ns < closed.timestamp_ns < exited.timestamp_ns
    assert (closed.egress_position, closed.ingress_position) == (100, 100)
    assert closed.reason in ("ssl_free", "socket_closed")


def test_a_shutdown_ends_what_is_sent(multi_tap: Tap, pki: Pki) -> None:
    script = """
        tls = connect(*sys.argv[1:])
        tls.sendall(b"last words")
        assert tls.recv(100) == b"last words"
        tls.unwrap()
    """
    with running_raw_echo(pki) as server:
        client = start(script, server.port, pki.ca)
        multi_tap.read_until_end(client)

    (ended,) = multi_tap.of(DirectionClosed, client.pid)
    assert (ended.direction, ended.position) == (Direction.EGRESS, 10)


def test_connections_that_reuse_a_descriptor_are_told_apart(multi_tap: Tap, pki: Pki) -> None:
    script = """
        for number in range(200):
            with connect(*sys.argv[1:]) as tls:
                message = b"connection %d" % number
                tls.sendall(message)
                assert tls.recv(100) == message
    """
    with running_raw_echo(pki) as server:
        client = start(script, server.port, pki.ca)
        assert multi_tap.read_until_end(client) == 0

    expected = sorted([b"connection %d" % number for number in range(200)] * 2)
    assert sorted(multi_tap.streams(client.pid).values()) == expected
    assert sorted(multi_tap.streams(server.pid).values()) == expected


def test_a_socket_with_two_descriptors_lives_as_long_as_one_of_them(multi_tap: Tap, pki: Pki) -> None:
    script = """
        tls = connect(*sys.argv[1:])
        copy = os.dup(tls.fileno())
        for message in b"one", b"two":
            tls.sendall(message)
            assert receive(tls, 3) == message
            os.close(tls.fileno())
            os.dup2(copy, tls.fileno())
    """
    with running_raw_echo(pki) as server:
        client = start(script, server.port, pki.ca)
        assert multi_tap.read_until_end(client) == 0

    assert list(multi_tap.streams(client.pid).values()) == [b"onetwo"] * 2


def test_closing_a_socket_that_the_peer_has_reset_ends_its_connection(multi_tap: Tap, pki: Pki) -> None:
    script = """
        import time
        tls = connect(*sys.argv[1:])
        tls.sendall(b"kept")
        assert tls.recv(4) == b"kept"
        print("stop", flush=True)
        sys.stdin.readline()
        tls.sendall(b"never read")  # so that its end is a reset
        print("kill", flush=True)
        while plainly_alive(tls.fileno()):
            time.sleep(0.01)
        os.close(tls.fileno())  # and no SSL_free
        os.kill(os.getpid(), 9)
    """
    alive = """
def plainly_alive(descriptor):
    state = socket.socket(fileno=os.dup(descriptor)).getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != 7  # TCP_CLOSE
"""
    with running_raw_echo(pki) as server:
        client = start(alive + textwrap.dedent(script), server.port, pki.ca, stdin=subprocess.PIPE)
        assert client.stdout
        assert client.stdin
        assert client.stdout.readline() == "stop\n"
        os.kill(server.pid, signal.SIGSTOP)
        client.stdin.write("\n")
        client.stdin.flush()
        assert client.stdout.readline() == "kill\n"
        os.kill(server.pid, signal.SIGKILL)
        multi_tap.read_until_end(client)

    (closed,) = multi_tap.of(ConnectionClosed, client.pid)
    assert (closed.reason, closed.egress_position) == ("socket_closed", 14)


def test_a_child_forked_after_the_handshake_is_captured_with_its_role(multi_tap: Tap, pki: Pki) -> None:
    script = """
        tls = connect(*sys.argv[1:])
        child = os.fork()
        if child == 0:
            tls.sendall(b"from the child")
            assert tls.recv(100) == b"from the child"
            os._exit(0)
        os.close(tls.detach())
        assert os.waitpid(child, 0)[1] == 0
        print(child)
    """
    with running_raw_echo(pki) as server:
        parent = start(script, server.port, pki.ca)
        output, _ = parent.communicate(timeout=30)
        multi_tap.read()

    child = int(output)
    assert list(multi_tap.streams(child).values()) == [b"from the child"] * 2
    observed = multi_tap.of(ConnectionObserved, child)[-1]
    assert (observed.role, observed.handshake_seen) == (Role.CLIENT, True)
    assert observed.remote is not None


def test_a_full_ring_loses_bytes_that_are_counted_exactly(multi_tap: Tap, pki: Pki) -> None:
    size, rounds = 512 << 10, 100
    with running_raw_echo(pki) as server:
        client = talk(server, pki, size=size, rounds=rounds)
        multi_tap.read()

    both = [*multi_tap.of(DataCaptured, client), *multi_tap.of(DataCaptured, server.pid)]
    missing = 4 * size * rounds - sum(len(event.data) for event in both)
    lost = multi_tap.counters.read()["ring_full"]
    others = {
        event.connection.tgid
        for event in multi_tap.events
        if isinstance(event, DataCaptured) and event.connection.tgid not in (client, server.pid)
    }
    assert missing > 0
    # Whoever else speaks TLS on this host meanwhile loses bytes, too.
    assert lost.bytes == missing if not others else lost.bytes >= missing
    assert len(multi_tap.of(ConnectionClosed, client)) == 1, "a flood of data must not lose a close"


def test_discovery_hears_of_new_files_and_new_tls_processes(multi_tap: Tap, pki: Pki, tmp_path: Path) -> None:
    copy = tmp_path / "libssl.so.3"
    copy.write_bytes(Path("/usr/lib/x86_64-linux-gnu/libssl.so.3").read_bytes())
    subprocess.run(
        ["/usr/bin/openssl", "version"],
        check=True,
        env={"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
    )
    with running_raw_echo(pki) as server:
        client = talk(server, pki, size=10)
        multi_tap.read()

    mapped = [notice for notice in multi_tap.notices if notice.kind is Kind.FILE_MAPPED]
    seen = {notice.tgid for notice in multi_tap.notices if notice.kind is Kind.PROCESS_SEEN}
    assert copy.stat().st_ino in {notice.inode for notice in mapped}
    assert {client, server.pid} <= seen


def test_an_excluded_process_is_not_captured_and_one_that_only_has_its_pid_is(
    multi_tap: Tap, pki: Pki
) -> None:
    script = """
        sys.stdin.readline()
        with connect(*sys.argv[1:]) as tls:
            tls.sendall(b"hello")
            assert tls.recv(100) == b"hello"
    """
    with running_raw_echo(pki) as server:
        excluded, reused = (start(script, server.port, pki.ca, stdin=subprocess.PIPE) for _ in range(2))
        for client, offset in ((excluded, 0), (reused, -1)):
            ticks = ProcessReader().start_ticks(client.pid)
            assert ticks is not None
            key, value = struct.pack("<I", client.pid), struct.pack("<Q", ticks + offset)
            map_update(multi_tap.session.maps["excluded_processes"], key, value)
            client.communicate("go\n", timeout=30)
            assert client.returncode == 0
        multi_tap.read()

    assert not multi_tap.of(DataCaptured, excluded.pid)
    assert sorted(multi_tap.streams(reused.pid).values()) == [b"hello", b"hello"]


def test_another_program_in_an_excluded_process_is_captured(multi_tap: Tap, pki: Pki) -> None:
    script = """
        sys.stdin.readline()
        with connect(*sys.argv[1:3]) as tls:
            tls.sendall(sys.argv[3].encode())
            assert tls.recv(100).decode() == sys.argv[3]
            if sys.argv[3] == "first":
                code = open("/proc/self/cmdline").read().split(chr(0))[2]
                os.execv(sys.executable, [sys.executable, "-c", code, *sys.argv[1:3], "second"])
    """
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    with running_raw_echo(pki) as server:
        client = start(script, server.port, pki.ca, "first", stdin=subprocess.PIPE)
        ticks = ProcessReader().start_ticks(client.pid)
        assert ticks is not None
        key, value = struct.pack("<I", client.pid), struct.pack("<Q", ticks)
        map_update(multi_tap.session.maps["excluded_processes"], key, value)
        client.communicate("go\n", timeout=30)
        assert client.returncode == 0
        multi_tap.read()

    assert sorted(multi_tap.streams(client.pid).values()) == [b"second"] * 2
    assert {event.from_handshake for event in multi_tap.of(ConnectionObserved, client.pid)} == {False, True}
    since = int.from_bytes(
        map_lookup(multi_tap.session.maps["probed_since"], struct.pack("<I", 0), 8), "little"
    )
    (exited, _) = multi_tap.of(ProcessExited, client.pid)
    assert before < since <= exited.timestamp_ns, "what the first one carried was not counted"


def test_a_process_ends_with_its_last_thread(multi_tap: Tap, pki: Pki) -> None:
    script = """
        import ctypes, time

        def talk():
            while ") Z " not in open(f"/proc/self/task/{os.getpid()}/stat").read():
                time.sleep(0.01)
            tls.sendall(b"after the first thread")
            assert tls.recv(100) == b"after the first thread"
            tls.close()
            os._exit(0)

        tls = connect(*sys.argv[1:])
        tls.sendall(b"before")
        assert tls.recv(100) == b"before"
        threading.Thread(target=talk).start()
        ctypes.CDLL(None).syscall(60, 0)  # exit(2) of this thread alone
    """
    with running_raw_echo(pki) as server:
        client = start(script, server.port, pki.ca)
        assert multi_tap.read_until_end(client) == 0

    assert sorted(multi_tap.streams(client.pid).values()) == [b"beforeafter the first thread"] * 2
    (exited,) = multi_tap.of(ProcessExited, client.pid)
    assert exited.timestamp_ns > max(e.timestamp_ns for e in multi_tap.of(DataCaptured, client.pid))


def test_another_program_in_the_same_process_has_connections_of_its_own(multi_tap: Tap, pki: Pki) -> None:
    script = """
        with connect(*sys.argv[1:3]) as tls:
            tls.sendall(sys.argv[3].encode())
            assert tls.recv(100).decode() == sys.argv[3]
            if sys.argv[3] == "first":
                code = open("/proc/self/cmdline").read().split(chr(0))[2]
                # Without randomised addresses the second program's objects are where the first's were.
                os.execv(sys.executable, [sys.executable, "-c", code, *sys.argv[1:3], "second"])
    """
    with running_raw_echo(pki) as server:
        client = start(script, server.port, pki.ca, "first", wrapper=["setarch", "--addr-no-randomize"])
        assert multi_tap.read_until_end(client) == 0

    assert sorted(multi_tap.streams(client.pid).values()) == [b"first"] * 2 + [b"second"] * 2
    assert len(multi_tap.of(ProcessExited, client.pid)) == 2
    seen = [n for n in multi_tap.notices if n.kind is Kind.PROCESS_SEEN and n.tgid == client.pid]
    assert len(seen) == 2
