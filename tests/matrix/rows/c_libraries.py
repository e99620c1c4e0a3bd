# SPDX-License-Identifier: Apache-2.0
"""Other libraries with a C interface, shared: the distribution's, each below one small program."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.matrix.row import Place, Program, Row
from tests.matrix.runtimes import PROGRAMS, python
from tests.support.tls_ends import VERSIONS, end_binary, s2n_without_padding, server_identity

_NAMES = {"gnutls": "GnuTLS 3.7", "nss": "NSS 3.87", "mbedtls": "Mbed TLS 2.28", "wolfssl": "wolfSSL 5.5"}


def _binary(library: str) -> Sequence[str]:
    return [end_binary(library, PROGRAMS / "c_messages.c")]


def _server(library: str, place: Place) -> Sequence[str]:
    return ["server", *server_identity(library, place.pki, Path(place.scratch))]


def _client(library: str, place: Place, token: int) -> Sequence[str]:
    versions = VERSIONS[library]
    version = versions[token % len(versions)]
    return ["client", *map(str, (place.port, place.pki.ca, token, place.rounds, version))]


def _row(library: str) -> Row:
    only = "" if len(VERSIONS[library]) > 1 else " (TLS 1.2 only)"
    return Row(
        runtime=f"a program in C{only}",
        library=f"{_NAMES[library]}, shared",
        client=Program(command=partial(_binary, library), one_process_each=partial(_client, library)),
        server=Program(command=partial(_binary, library), options=partial(_server, library)),
    )


def _s2n() -> Mapping[str, str]:
    return {"PYTHONPATH": str(s2n_without_padding())}


ROWS = (
    *map(_row, _NAMES),
    Row(
        runtime="CPython over awscrt (its code's padding replaced)",
        library="s2n, static",
        client=Program(command=partial(python, "s2n_client.py"), environment=_s2n),
        server=Program(command=partial(python, "s2n_server.py"), environment=_s2n),
    ),
)
