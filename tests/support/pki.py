# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for the tests, with files as servers and clients want them."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Paths of a certificate (with its chain) and of its private key, in PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Pki:
    """A CA with a server certificate for localhost, 127.0.0.1 and example.com, and a client certificate."""

    ca: Path
    server: KeyPair
    client: KeyPair


def make_pki(directory: Path) -> Pki:
    """Make a new CA and its certificates below ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    ca = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    return Pki(
        ca=ca,
        server=_issue(authority, directory / "server", "localhost", "127.0.0.1", "example.com"),
        client=_issue(authority, directory / "client", "qtap-client.test"),
    )


def _issue(authority: trustme.CA, stem: Path, *names: str) -> KeyPair:
    issued = authority.issue_cert(*names)
    pair = KeyPair(stem.with_suffix(".pem"), stem.with_suffix(".key"))
    pair.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(pair.key))
    return pair
