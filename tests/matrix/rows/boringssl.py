# SPDX-License-Identifier: Apache-2.0
"""BoringSSL, always linked in: with symbols, and stripped."""

from collections.abc import Mapping, Sequence
from functools import partial

from tests.matrix.protocols import Protocol
from tests.matrix.row import Program, Row
from tests.matrix.runtimes import PROGRAMS, python, wheels
from tests.support.packages import npm_binary

_STRIPPED = "BoringSSL, static, stripped"


def _bun(program: str) -> Sequence[str]:
    return [npm_binary("@oven/bun-linux-x64", "1.4.5", "bin/bun"), str(PROGRAMS / program)]


def _curl_cffi() -> Mapping[str, str]:
    return wheels("curl_cffi==0.17.0")


def _grpcio() -> Mapping[str, str]:
    return wheels("grpcio==1.85.3")


ROWS = (
    Row(
        runtime="Bun 1.4",
        library=_STRIPPED,
        client=Program(command=partial(_bun, "tls_client.js")),
        server=Program(command=partial(_bun, "tls_server.js")),
    ),
    Row(
        runtime="grpcio 1.85 (TLS 1.3 only)",
        library=_STRIPPED,
        protocol=Protocol.HTTP2,
        client=Program(command=partial(python, "grpc_client.py"), environment=_grpcio),
        server=Program(command=partial(python, "grpc_server.py"), environment=_grpcio),
    ),
    Row(
        runtime="curl_cffi 0.17",
        library="BoringSSL, static",
        protocol=Protocol.HTTP1,
        client=Program(command=partial(python, "curl_cffi_client.py"), environment=_curl_cffi),
    ),
)
