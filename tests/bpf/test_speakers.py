# SPDX-License-Identifier: Apache-2.0
"""What the kernel side keeps of processes that speak TLS: calls seen, relays, conversations missed."""

import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import pytest

from otel_qtap.agent.coverage.lasting import LASTING_NS, missed_now
from otel_qtap.capture.records import SPEAKER, Kind, Speaker
from otel_qtap.capture.syscalls import map_items, map_update
from otel_qtap.discovery.procfs import ProcessReader
from tests.bpf.conftest import Tap, tapping
from tests.bpf.memory_bios import without_role
from tests.support.memory_handshake import client_hello
from tests.support.pki import Pki, make_pki
from tests.support.tls_servers import running_raw_echo
from tests.support.waiting import eventually

pytestmark = pytest.mark.bpf

OPENSSL_CLIENT = """
context = ssl.create_default_context(cafile=sys.argv[2])
with context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost") as tls:
    tls.sendall(b"x" * 20000)
    while tls.recv(65536)[-1:] != b"x":
        pass
"""
UNKNOWN_CLIENT = """
with socket.create_connection(("127.0.0.1", port)) as plain:
    plain.sendall(bytes.fromhex(sys.argv[2]))
    plain.sendall(bytes(int(sys.argv[3])))
    for record in sys.argv[4:]:
        plain.sendall(bytes.fromhex(record))
    plain.shutdown(socket.SHUT_WR)
    plain.recv(65536)
"""
UNKNOWN_SERVER = """
with socket.create_server(("127.0.0.1", port)) as listener:
    print(listener.getsockname()[1], flush=True)
    plain, _ = listener.accept()
    for record in sys.argv[2:]:
        plain.recv(len(record) // 2, socket.MSG_WAITALL)
    plain.close()
"""
FINISHED = "140303000101" + "1703030045" + "5a" * 69
"""With the longest digest."""
OVER = "1703030013" + "5a" * 19
REQUEST = "1703030046" + "5a" * 70
CERTIFICATES = b"\x17\x03\x03\x3f\x00" + bytes(0x3F00)
FORKED = 200
RELAY = """
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
inner, _ = listener.accept()
for _ in range(int(sys.argv[2])):
    inner.recv(65536, socket.MSG_PEEK)
outer = socket.create_connection(("127.0.0.1", port))
def carry(one, other):
    try:
        while data := one.recv(65536):
            other.sendall(data)
    except OSError:
        pass
threading.Thread(target=carry, args=(outer, inner), daemon=True).start()
carry(inner, outer)
"""


def start(script: str, port: int, *arguments: object) -> "subprocess.Popen[str]":
    head = "import socket, ssl, sys, threading\nport = int(sys.argv[1])\n"
    command = [sys.executable, "-c", head + textwrap.dedent(script), str(port), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def speaker(tap: Tap, pid: int) -> Speaker | None:
    for key, value in map_items(tap.session.maps["speaking_processes"]):
        if struct.unpack("<I", key) == (pid,):
            return Speaker(*SPEAKER.unpack(value))
    return None


def known(tap: Tap, pid: int, condition: Callable[[Speaker], bool]) -> Speaker:
    seen: list[Speaker | None] = []

    def there() -> Speaker | None:
        seen[:] = [speaker(tap, pid)]
        return seen[0] if seen[0] and condition(seen[0]) else None

    try:
        return eventually(there, "the process is known so", seconds=5)
    except AssertionError as late:
        raise AssertionError(f"{late}: {seen}") from None


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


def test_calls_of_a_probed_library_are_noted(tap: Tap, pki: Pki) -> None:
    with running_raw_echo(pki) as server:
        client = start(OPENSSL_CLIENT, server.port, pki.ca)
        assert tap.read_until_end(client) == 0
        found = known(tap, client.pid, lambda speaker: speaker.captured == 1)

    assert (found.hellos, found.relayed, found.missed) == (1, 0, 0)
    assert found.called_ns
    assert [notice.kind for notice in tap.notices if notice.tgid == client.pid].count(
        Kind.PROCESS_SPEAKS_TLS
    ) == 1


@pytest.mark.parametrize(
    ("size", "records", "missed"),
    [
        (60000, (), 1),
        (100, (), 0),
        (0, (FINISHED, OVER), 0),
        (0, (FINISHED[12:], OVER), 0),
        (0, (FINISHED, REQUEST), 1),
    ],
    ids=["conversation", "hello", "handshake", "handshake that changes no cipher", "one small call"],
)
def test_conversations_without_calls_are_missed(
    multi_tap: Tap, size: int, records: tuple[str, ...], missed: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start(UNKNOWN_CLIENT, listener.getsockname()[1], client_hello().hex(), size, *records)
        accepted, _ = listener.accept()
        accepted.sendall(CERTIFICATES)
        while accepted.recv(65536):
            pass
        accepted.close()
        assert multi_tap.read_until_end(client) == 0

    found = known(multi_tap, client.pid, lambda speaker: speaker.missed == missed)
    assert (found.called_ns, found.hellos, found.captured) == (0, 1, 0)
    counts = dict(map_items(multi_tap.session.maps["ended_connections"]))
    assert struct.unpack("<Q", counts[struct.pack("<I", 1)])[0] >= 1


@pytest.mark.parametrize(
    ("call", "missed"), [((FINISHED, OVER), 0), ((FINISHED, REQUEST), 1)], ids=["handshake", "one small call"]
)
def test_small_calls_of_a_server_are_missed(multi_tap: Tap, call: tuple[str, ...], missed: int) -> None:
    hello = client_hello().hex()
    server = start(UNKNOWN_SERVER, 0, hello, *call)
    assert server.stdout is not None
    with socket.create_connection(("127.0.0.1", int(server.stdout.readline()))) as plain:
        plain.sendall(bytes.fromhex(hello + "".join(call)))
        assert multi_tap.read_until_end(server) == 0

    assert known(multi_tap, server.pid, lambda speaker: speaker.hellos == 1).missed == missed


def test_small_calls_are_missed_on_a_connection_that_stays_open(multi_tap: Tap) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start(UNKNOWN_CLIENT, listener.getsockname()[1], client_hello().hex(), 0, FINISHED, REQUEST)
        accepted, _ = listener.accept()
        while accepted.recv(65536):
            pass
        hellos = multi_tap.session.maps["hellos"]
        called = {client.pid: Speaker(0, 1, 1, 0, 0, 0)}
        later = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + LASTING_NS
        assert missed_now(map_items(hellos), called, later) == {client.pid: 1}
        accepted.close()
        assert multi_tap.read_until_end(client) == 0
    assert missed_now(map_items(hellos), called, later) == {}


def test_what_was_missed_before_the_first_call_is_no_sign_of_another_library(
    multi_tap: Tap, pki: Pki
) -> None:
    script = """
    def unknown():
        with socket.create_connection(("127.0.0.1", int(sys.argv[3]))) as plain:
            plain.sendall(bytes.fromhex(sys.argv[4]))
            plain.sendall(bytes.fromhex(sys.argv[5]))
    unknown()
    sys.stdin.readline()
    context = ssl.create_default_context(cafile=sys.argv[2])
    plain = socket.create_connection(("127.0.0.1", port))
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(b"x")
        tls.recv(1)
    sys.stdin.readline()
    unknown()
    sys.stdin.readline()
    """
    with running_raw_echo(pki) as server, socket.create_server(("127.0.0.1", 0)) as listener:
        both = start(script, server.port, pki.ca, listener.getsockname()[1], client_hello().hex(), REQUEST)
        assert both.stdin is not None
        known(multi_tap, both.pid, lambda speaker: speaker.missed == 1)
        print(file=both.stdin, flush=True)
        known(multi_tap, both.pid, lambda speaker: (speaker.captured, speaker.missed) == (1, 0))
        print(file=both.stdin, flush=True)
        known(multi_tap, both.pid, lambda speaker: (speaker.captured, speaker.missed) == (1, 1))
        both.communicate("\n", timeout=20)


def test_what_is_captured_and_not_bound_is_not_missed(pki: Pki) -> None:
    """Both ends are in one process, over memory BIOs, and nothing tells which end is at which socket."""
    script = """
    contexts = ssl.create_default_context(cafile=sys.argv[2]), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexts[1].load_cert_chain(sys.argv[3], sys.argv[4])
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        heard, said = [ssl.MemoryBIO(), ssl.MemoryBIO()], [ssl.MemoryBIO(), ssl.MemoryBIO()]
        client = contexts[0].wrap_bio(heard[0], said[0], server_hostname="localhost")
        server = contexts[1].wrap_bio(heard[1], said[1], server_side=True)
        for _ in range(2):
            for tls, here, there, mine, theirs in (client, near, far, 0, 1), (server, far, near, 1, 0):
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                if words := said[mine].read():
                    here.sendall(words)
                    heard[theirs].write(there.recv(65536))
        client.write(bytes(100))
        near.sendall(said[0].read())
        heard[1].write(far.recv(65536))
        assert server.read(1000) == bytes(100)
        near.close()
        far.close()
    sys.stdin.readline()
    """
    with tapping("multi", alter=without_role) as tap:
        both = start(script, 0, pki.ca, pki.server.certificate, pki.server.key)
        both.communicate("\n", timeout=20)
        ended = known(tap, both.pid, lambda speaker: True)
    assert both.returncode == 0
    assert (ended.captured, ended.missed) == (0, 0)


@pytest.mark.parametrize("peeks", [0, 3])
def test_relay_is_told_from_a_speaker(multi_tap: Tap, pki: Pki, peeks: int) -> None:
    """Also one that looks at the hello first, to choose where to pass it on to."""
    with running_raw_echo(pki) as server:
        relay = start(RELAY, server.port, peeks)
        assert relay.stdout is not None
        client = start(OPENSSL_CLIENT, int(relay.stdout.readline()), pki.ca)
        assert multi_tap.read_until_end(client) == 0
        assert multi_tap.read_until_end(relay) == 0
        found = known(multi_tap, relay.pid, lambda speaker: speaker.relayed > 0)

        assert (found.hellos, found.relayed, found.called_ns) == (2, 2, 0)
        assert (found.captured, found.missed) == (0, 0)
        served = known(multi_tap, server.pid, lambda speaker: speaker.hellos > 0)
        assert served.relayed == 0


def test_both_ends_in_one_process_are_no_relay(multi_tap: Tap, pki: Pki) -> None:
    script = """
    listener = socket.create_server(("127.0.0.1", 0))
    def serve():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3], sys.argv[4])
        with context.wrap_socket(listener.accept()[0], server_side=True) as tls:
            tls.sendall(tls.recv(100))
    threading.Thread(target=serve).start()
    context = ssl.create_default_context(cafile=sys.argv[2])
    plain = socket.create_connection(listener.getsockname())
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(b"x")
        tls.recv(100)
    """
    both = start(script, 0, pki.ca, pki.server.certificate, pki.server.key)
    assert multi_tap.read_until_end(both) == 0

    found = known(multi_tap, both.pid, lambda speaker: speaker.captured == 2)
    assert (found.hellos, found.relayed) == (2, 0)


@pytest.mark.parametrize("tap", ["multi/auto", "perf/auto"], indirect=True)
def test_a_hello_that_is_said_again_counts_once(tap: Tap) -> None:
    """As a server may ask for it, with another key in it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say = "    plain.sendall(bytes.fromhex(sys.argv[2]))\n"
        script = UNKNOWN_CLIENT.replace(say, 2 * say)
        client = start(script, listener.getsockname()[1], client_hello().hex(), 100)
        accepted, _ = listener.accept()
        while accepted.recv(65536):
            pass
        accepted.close()
        assert tap.read_until_end(client) == 0

    assert known(tap, client.pid, lambda speaker: True).hellos == 1


def test_the_first_two_hellos_of_a_process_count_both_when_they_are_sent_at_once(multi_tap: Tap) -> None:
    """Where each begins the count anew. In many processes, for the moment is short."""
    script = """
    import os
    hello = bytes.fromhex(sys.argv[2])
    for _ in range(int(sys.argv[3])):
        child = os.fork()
        if not child:
            ready = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
            gate = threading.Barrier(3)
            def send(plain):
                gate.wait()
                plain.sendall(hello)
            threads = [threading.Thread(target=send, args=(plain,)) for plain in ready]
            for thread in threads:
                thread.start()
            gate.wait()
            for thread in threads:
                thread.join()
            os.write(1, b"%d\\n" % os.getpid())
            sys.stdin.readline()
            os._exit(0)
    for _ in range(int(sys.argv[3])):
        os.wait()
    """
    with socket.create_server(("127.0.0.1", 0), backlog=4 * FORKED) as listener:
        parent = start(script, listener.getsockname()[1], client_hello().hex(), FORKED)
        assert parent.stdout is not None
        assert parent.stdin is not None
        children = [int(parent.stdout.readline()) for _ in range(FORKED)]
        found = [known(multi_tap, child, lambda speaker: True).hellos for child in children]
        parent.stdin.write("\n" * FORKED)
        parent.stdin.close()
        assert multi_tap.read_until_end(parent) == 0

    assert found == [2] * FORKED


def test_excluded_process_is_noted_and_nothing_of_what_it_says(multi_tap: Tap) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = "sys.stdin.readline()" + UNKNOWN_CLIENT
        client = start(script, listener.getsockname()[1], client_hello().hex(), 100)
        ticks = ProcessReader().start_ticks(client.pid)
        assert ticks is not None
        assert client.stdin is not None
        map_update(
            multi_tap.session.maps["excluded_processes"],
            struct.pack("<I", client.pid),
            struct.pack("<Q", ticks),
        )
        client.stdin.write("\n")
        client.stdin.flush()
        accepted, _ = listener.accept()
        while accepted.recv(65536):
            pass
        accepted.close()
        assert multi_tap.read_until_end(client) == 0

    assert known(multi_tap, client.pid, lambda speaker: True).hellos == 1
    of_client = [event for event in multi_tap.events if getattr(event, "process", None) == client.pid]
    assert of_client == []


def test_program_that_replaces_another_begins_anew(multi_tap: Tap) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        script = UNKNOWN_CLIENT + "\nimport os\nos.execv('/bin/cat', ['cat'])"
        client = start(script, listener.getsockname()[1], client_hello().hex(), 100)
        accepted, _ = listener.accept()
        known(multi_tap, client.pid, lambda speaker: speaker.hellos == 1)
        accepted.shutdown(socket.SHUT_WR)
        eventually(lambda: speaker(multi_tap, client.pid) is None, "the old program is forgotten")
        client.communicate("", timeout=20)
