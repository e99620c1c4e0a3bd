# SPDX-License-Identifier: Apache-2.0
"""Each OpenSSL call that carries plaintext or moves a connection, made by a C program, before real probes."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from otel_qtap.model.events import ConnectionClosed, ConnectionObserved, DataCaptured, HandshakeCompleted
from otel_qtap.model.identity import ConnectionId, Direction, PeerSource, Role
from tests.bpf.conftest import Tap
from tests.support.pki import Pki

pytestmark = pytest.mark.bpf

SOURCE = Path(__file__).parents[1] / "support" / "programs" / "openssl_calls.c"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("openssl") / "openssl_calls"
    subprocess.run(
        ["gcc", "-Wall", "-Werror", "-o", binary, SOURCE, "-lssl", "-lcrypto", "-lpthread"], check=True
    )
    return binary


@dataclass(frozen=True)
class Run:
    """What was seen of one run of the program, client and server in one process."""

    tap: Tap
    pid: int

    def sent(self, direction: Direction) -> list[bytes]:
        """What each connection carried in one direction, in the order in which they began."""
        streams = self.tap.streams(self.pid)
        return [data for (_, way), data in streams.items() if way is direction]

    def observed(self) -> dict[ConnectionId, ConnectionObserved]:
        """The last that is known of each connection."""
        return {event.connection: event for event in self.tap.of(ConnectionObserved, self.pid)}

    def last(self, direction: Direction) -> ConnectionObserved:
        """What is known of the connection that last carried something that way."""
        data = [e for e in self.tap.of(DataCaptured, self.pid) if e.direction is direction][-1]
        return self.observed()[data.connection]


def run(tap: Tap, program: Path, pki: Pki, mode: str) -> Run:
    process = subprocess.Popen([program, pki.server.certificate, pki.server.key, mode], text=True)
    assert tap.read_until_end(process) == 0
    return Run(tap, process.pid)


@pytest.mark.parametrize(
    ("mode", "texts"),
    [
        ("plain", b"SSL_write"),
        ("set_bio", b"through a BIO"),
        ("set0_rbio", b"through a BIO"),
        ("memory", b"through memory"),
        ("peek", b"peeked at"),
    ],
)
def test_every_way_of_reading_and_writing_is_seen_once(
    multi_tap: Tap, program: Path, pki: Pki, mode: str, texts: bytes
) -> None:
    seen = run(multi_tap, program, pki, mode)

    assert seen.sent(Direction.EGRESS) == [texts]
    assert seen.sent(Direction.INGRESS) == [texts]
    assert seen.last(Direction.EGRESS).role is Role.CLIENT
    assert seen.last(Direction.INGRESS).role is Role.SERVER


def test_extended_forms_are_seen_once_by_every_way_of_attaching(tap: Tap, program: Path, pki: Pki) -> None:
    seen = run(tap, program, pki, "extended")

    (sent,) = seen.sent(Direction.EGRESS)
    assert sent in (b"SSL_write_ex", b"SSL_write_exSSL_write_ex2")  # the latter from OpenSSL 3.3 on
    assert seen.sent(Direction.INGRESS) == [sent]


def test_a_bio_filter_is_seen_though_its_handshake_is_made_by_a_write(
    multi_tap: Tap, program: Path, pki: Pki
) -> None:
    seen = run(multi_tap, program, pki, "filter")

    assert sorted(seen.sent(Direction.EGRESS)) == [b"BIO_f_ssl", b"answer"]
    assert sorted(seen.sent(Direction.INGRESS)) == [b"BIO_f_ssl", b"answer"]
    assert {event.role for event in seen.observed().values()} == {Role.CLIENT, Role.SERVER}


@pytest.mark.parametrize("mode", ["plain", "set_bio", "set0_rbio", "filter"])
def test_sockets_are_bound_however_they_were_given(
    multi_tap: Tap, program: Path, pki: Pki, mode: str
) -> None:
    ends = run(multi_tap, program, pki, mode).observed().values()

    client = next(event for event in ends if event.role is Role.CLIENT)
    server = next(event for event in ends if event.role is Role.SERVER)
    assert client.local is not None
    assert (client.local, client.remote) == (server.remote, server.local)
    assert {client.peer_source, server.peer_source} == {PeerSource.NESTED_SYSCALL}


def test_no_socket_is_told_where_there_is_none(multi_tap: Tap, program: Path, pki: Pki) -> None:
    seen = run(multi_tap, program, pki, "memory")

    for event in seen.observed().values():
        assert (event.peer_source, event.local, event.remote) == (PeerSource.NONE, None, None)


def test_an_object_that_is_cleared_and_used_again_carries_another_conversation(
    multi_tap: Tap, program: Path, pki: Pki
) -> None:
    seen = run(multi_tap, program, pki, "clear")

    assert seen.sent(Direction.EGRESS) == [b"first", b"second"]
    assert seen.sent(Direction.INGRESS) == [b"first", b"second"]
    observed = seen.observed()
    assert len({event.connection.handle for event in observed.values()}) == 2
    assert len({event.local for event in observed.values()}) == 4, "each on a socket of its own"
    assert {event.role for event in observed.values()} == {Role.CLIENT, Role.SERVER}
    closed = [event.reason for event in multi_tap.of(ConnectionClosed, seen.pid)]
    assert closed == ["replaced", "replaced", "ssl_free", "ssl_free"]
    assert len(multi_tap.of(HandshakeCompleted, seen.pid)) == 4


def test_threads_that_share_a_connection_speak_on_one(multi_tap: Tap, program: Path, pki: Pki) -> None:
    seen = run(multi_tap, program, pki, "threads")

    pings = b"".join(b"ping%04d" % number for number in range(100))
    pongs = b"".join(b"pong%04d" % number for number in range(100))
    assert sorted(seen.sent(Direction.EGRESS)) == [pings, pongs]
    assert sorted(seen.sent(Direction.INGRESS)) == [pings, pongs]
    assert len(seen.observed()) == 2


def test_early_data_comes_first_in_its_conversation(multi_tap: Tap, program: Path, pki: Pki) -> None:
    seen = run(multi_tap, program, pki, "early")

    assert seen.sent(Direction.EGRESS) == [b"ticket", b"early data, then the rest"]
    assert seen.sent(Direction.INGRESS)[-1] == b"early data, then the rest"
    assert seen.last(Direction.EGRESS).role is Role.CLIENT
    assert seen.last(Direction.EGRESS).handshake_seen
