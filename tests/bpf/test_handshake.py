# SPDX-License-Identifier: Apache-2.0
"""Hellos and certificates of real programs, met at their sockets: at both ends, however they are read."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest

from otel_qtap.handshake.table import HandshakeTable
from otel_qtap.model.events import ConnectionObserved, HandshakeCaptured
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import ConnectionId, PeerSource, Role
from tests.bpf.conftest import Tap
from tests.support.memory_handshake import client_context, server_context
from tests.support.pki import Pki
from tests.support.ports import free_port, wait_listening
from tests.support.subprocesses import end

pytestmark = pytest.mark.bpf

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
Server = Callable[..., int]


def facts_at(tap: Tap, port: int, role: Role) -> HandshakeFacts:
    """What the kernel side gave of the last handshake with a server on ``port``, as one end saw it."""
    tap.read()
    captured = [
        event
        for event in tap.events
        if isinstance(event, HandshakeCaptured)
        and event.role is role
        and (at := event.remote if role is Role.CLIENT else event.local)
        and at.port == port
    ]
    assert captured, f"nothing was seen at the {role.name.lower()}"
    table = HandshakeTable()
    for event in captured:
        table.receive(event)
    last = captured[-1]
    facts = table.claim(
        ConnectionObserved(
            ConnectionId(*last.process, 1, 1), 0, role, last.local, last.remote, PeerSource.NONE, True, "", 0,
            client_random=last.client_random,
        )
    )  # fmt: skip
    assert facts
    return replace(facts, timestamp_ns=0)


def facts_at_both(tap: Tap, port: int) -> HandshakeFacts:
    """The same, where both ends saw the same."""
    near, far = facts_at(tap, port, Role.CLIENT), facts_at(tap, port, Role.SERVER)
    assert near == far
    assert near.client_ja4
    assert near.server_ja4s
    assert near.server_name == "localhost"
    return near


@pytest.fixture
def start(pki: Pki) -> Iterator[Server]:
    """Starts a server with its options; returns its port."""
    with ExitStack() as running:

        def start(*command: object) -> int:
            port = free_port()
            arguments = [str(each).format(port=port, pki=pki) for each in command]
            process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            running.callback(end, process)
            wait_listening(port, process)
            return port

        yield start


OPENSSL = (
    "openssl", "s_server", "-quiet", "-accept", "{port}", "-cert", "{pki.server.certificate}",
    "-key", "{pki.server.key}", "-alpn", "http/1.1",
)  # fmt: skip
GNUTLS = (
    "gnutls-serv", "--quiet", "-p", "{port}", "--x509certfile={pki.server.certificate}",
    "--x509keyfile={pki.server.key}", "--disable-client-cert",
)  # fmt: skip


def connect(port: int, *options: object) -> None:
    """One handshake of ``openssl s_client``."""
    subprocess.run(
        [
            "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
            "-alpn", "h2,http/1.1", *map(str, options),
        ],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=True,
    )  # fmt: skip


def is_1_2(facts: HandshakeFacts) -> bool:
    return facts.version == "1.2"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_openssl(shared_tap: Tap, start: Server, version: str) -> None:
    port = start(*OPENSSL, "-curves", "X25519")
    connect(port, "-tls1_" + version[-1])

    facts = facts_at_both(shared_tap, port)
    assert (facts.version, facts.curve, facts.resumed) == (version, "x25519", False)
    assert facts.next_protocol == ("http/1.1" if is_1_2(facts) else "")
    assert bool(facts.server_certificate) is is_1_2(facts)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls(shared_tap: Tap, start: Server, version: str) -> None:
    port = start(*GNUTLS)
    subprocess.run(
        [
            "gnutls-cli", "--insecure", "--sni-hostname", "localhost", "--port", str(port), "127.0.0.1",
            "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}:-GROUP-ALL:+GROUP-X25519",
        ],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=True,
    )  # fmt: skip

    facts = facts_at_both(shared_tap, port)
    assert (facts.version, facts.curve) == (version, "x25519")
    assert bool(facts.server_certificate) is is_1_2(facts)


def test_a_server_that_asks_to_try_again(shared_tap: Tap, start: Server) -> None:
    port = start(*OPENSSL, "-groups", "secp384r1")
    connect(port, "-tls1_3")
    assert facts_at_both(shared_tap, port).curve == "secp384r1"


def test_certificates_of_both_ends(shared_tap: Tap, start: Server, pki: Pki) -> None:
    port = start(*OPENSSL, "-Verify", "1", "-CAfile", pki.ca)
    connect(port, "-tls1_2", "-cert", pki.client.certificate, "-key", pki.client.key)

    facts = facts_at_both(shared_tap, port)
    assert facts.client_certificate
    assert facts.server_certificate
    assert facts.client_certificate.subject != facts.server_certificate.subject


def test_a_handshake_that_plain_text_goes_before(shared_tap: Tap, pki: Pki) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_mail() -> None:
        plain, _ = listener.accept()
        for answer in (b"220 ready\r\n", b"250-here\r\n250 STARTTLS\r\n", b"220 go on\r\n"):
            plain.sendall(answer)
            if not answer.startswith(b"220 go"):
                plain.recv(4096)
        with suppress(OSError), server_context(pki).wrap_socket(plain, server_side=True) as tls:
            tls.recv(1)

    thread = threading.Thread(target=serve_mail)
    thread.start()
    port = listener.getsockname()[1]
    connect(port, "-tls1_2", "-starttls", "smtp")
    thread.join()
    listener.close()
    assert facts_at_both(shared_tap, port).server_certificate


def shake_hands(port: int, context: ssl.SSLContext, *, read: int, cut: int = 0) -> None:
    """A client that reads ``read`` bytes at once, and sends its hello in two pieces."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(down, up, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if flight := up.read():
                    plain.sendall(flight[:cut])
                    if cut:
                        time.sleep(0.1)  # so that the other end reads what there is
                    plain.sendall(flight[cut:])
                    cut = 0
                down.write(plain.recv(read))
        plain.sendall(up.read())


@pytest.mark.parametrize("cut", [300, 1448])
def test_a_hello_that_comes_in_two_segments(shared_tap: Tap, start: Server, pki: Pki, cut: int) -> None:
    """As large ones with keys of post-quantum algorithms do; the server reads what there is."""
    port = start(*OPENSSL)
    context = client_context(pki, TLS_1_3)
    context.set_alpn_protocols(["http/1.1", *(f"filler-{number:0100}" for number in range(14))])
    shake_hands(port, context, read=65536, cut=cut)

    facts = facts_at(shared_tap, port, Role.SERVER)
    assert len(facts.offered_protocols) == 15
    assert facts.client_ja4.startswith("t13d")


@pytest.mark.parametrize("read", [5 + 4, 576, 700, 65536])
def test_a_flight_that_is_read_in_pieces(shared_tap: Tap, start: Server, pki: Pki, read: int) -> None:
    """As Go reads it, 576 bytes first."""
    port = start(*OPENSSL)
    shake_hands(port, client_context(pki, TLS_1_2), read=read)

    if read < 100:  # less than a hello at once is not looked at
        return
    facts = facts_at_both(shared_tap, port)
    assert facts.server_certificate
    assert facts.curve == "x25519"


@pytest.mark.parametrize("tap", ["perf/auto"], indirect=True)
def test_where_only_sends_are_seen(tap: Tap, start: Server) -> None:
    port = start(*OPENSSL)
    connect(port, "-tls1_2")
    near, far = facts_at(tap, port, Role.CLIENT), facts_at(tap, port, Role.SERVER)
    assert (near.server_name, near.version) == ("localhost", "")
    assert (far.server_name, far.version) == ("", "1.2")
    assert far.server_certificate


def test_what_only_looks_like_a_hello_is_left_alone(shared_tap: Tap) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    looks = [
        b"\1\0\0\x40\3\3" + bytes(100),  # longer than it says
        b"\1\0\1\0\3\3" + b"\xff" * 100,  # a session id that cannot be
        b"\x16\3\1\0\5\1\0\0\1\0" + bytes(100),
        b"\2\0\0\x80\1\1" + bytes(100),
    ]

    def answer() -> None:
        with suppress(OSError):
            for look in looks:
                plain, _ = listener.accept()
                with plain:
                    plain.recv(4096)
                    plain.sendall(look)

    thread = threading.Thread(target=answer)
    thread.start()
    for look in looks:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(look)
            plain.recv(4096)
    thread.join()
    listener.close()
    shared_tap.read()
    assert not [
        event
        for event in shared_tap.events
        if isinstance(event, HandshakeCaptured)
        and port in {end.port for end in (event.local, event.remote) if end}
    ]
