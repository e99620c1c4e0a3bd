# SPDX-License-Identifier: Apache-2.0
"""Certificates of a test authority, for servers on loopback and for clients."""

import ssl
from dataclasses import dataclass

import pytest
import trustme

from tests.support import ports


@dataclass(frozen=True)
class Certificates:
    authority: bytes
    server_certificate: bytes
    server_key: bytes
    client_certificate: bytes
    client_key: bytes
    server_context: ssl.SSLContext
    """TLS for a server, without client certificates."""
    mutual_context: ssl.SSLContext
    """TLS for a server that demands them."""


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    client = authority.issue_cert("agent.example")
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.configure_cert(plain)
    mutual = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.configure_cert(mutual)
    authority.configure_trust(mutual)
    mutual.verify_mode = ssl.CERT_REQUIRED
    return Certificates(
        authority=authority.cert_pem.bytes(),
        server_certificate=b"".join(pem.bytes() for pem in server.cert_chain_pems),
        server_key=server.private_key_pem.bytes(),
        client_certificate=b"".join(pem.bytes() for pem in client.cert_chain_pems),
        client_key=client.private_key_pem.bytes(),
        server_context=plain,
        mutual_context=mutual,
    )


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    return ports.free_port()
