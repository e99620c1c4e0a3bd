# SPDX-License-Identifier: Apache-2.0
"""Real handshakes of OpenSSL in memory: the bytes of each flight, and what both ends say of the result."""

import ssl
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.pki import Pki


@dataclass
class Handshake:
    """What went each way until both ends were done, a flight an element."""

    client: ssl.SSLObject
    server: ssl.SSLObject
    from_client: list[bytes] = field(default_factory=list)
    from_server: list[bytes] = field(default_factory=list)


def client_context(pki: Pki, version: ssl.TLSVersion, *, with_certificate: bool = False) -> ssl.SSLContext:
    """Of a client that speaks just this version and offers HTTP/2 and HTTP/1.1."""
    context = ssl.create_default_context(cafile=str(pki.ca))
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    if with_certificate:
        context.load_cert_chain(pki.client.certificate, pki.client.key)
    return context


def server_context(pki: Pki, *, asks: bool = False, curve: str = "") -> ssl.SSLContext:
    """Of a server that chooses HTTP/1.1; ``asks`` for a certificate, and takes no other ``curve``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.certificate, pki.server.key)
    context.set_alpn_protocols(["http/1.1"])
    if asks:
        context.load_verify_locations(pki.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    if curve:
        context.set_ecdh_curve(curve)
    return context


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext, *, session: ssl.SSLSession | None = None
) -> Handshake:
    """One handshake with ``example.com``, and a byte each way so that a session's ticket arrives."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    done = Handshake(
        client.wrap_bio(down, up, server_hostname="example.com", session=session),
        server.wrap_bio(up, down, server_side=True),
    )
    pending = [(done.client, up, done.from_client), (done.server, down, done.from_server)]
    for _ in range(4):
        for end, out, flights in pending:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
            if out.pending:
                flights.append(said := out.read())
                out.write(said)
    done.server.write(b".")
    assert done.client.read(1) == b"."
    return done


def client_hello() -> bytes:
    """A ClientHello alone, for a process that has no TLS library to send one."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()
