# SPDX-License-Identifier: Apache-2.0
"""TLS servers on CPython's ``ssl`` as processes of their own."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.clients import python_program
from tests.support.pki import Pki
from tests.support.subprocesses import end


@dataclass(frozen=True, slots=True)
class TlsServer:
    """A running server."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """``https://localhost:<port>``."""
        return f"https://localhost:{self.port}"


@contextmanager
def running_cpython_server(
    pki: Pki, *, fork: bool = False, environment: Mapping[str, str] | None = None
) -> Iterator[TlsServer]:
    """The echoing HTTPS server, with a thread or (``fork``) a process a connection."""
    arguments = [str(pki.server.certificate), str(pki.server.key), *(["--fork"] if fork else [])]
    with running_announced(python_program("tls_server.py", *arguments), environment) as server:
        yield server


@contextmanager
def running_raw_echo(pki: Pki) -> Iterator[TlsServer]:
    """A TLS server that sends back whatever bytes it gets."""
    arguments = [str(pki.server.certificate), str(pki.server.key)]
    with running_announced(python_program("raw_tls_echo.py", *arguments)) as server:
        yield server


@contextmanager
def running_announced(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[TlsServer]:
    """A server that prints its port when it listens; ``environment`` is added to that of the tests."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{command} exited before it listened"
        yield TlsServer(int(line), process.pid)
    finally:
        end(process)
        if process.stdout:
            process.stdout.close()
