# SPDX-License-Identifier: Apache-2.0
"""A real container engine's API on a socket: ``podman system service``, which speaks Docker's."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.containers import ENGINE, engine_environment
from tests.support.subprocesses import end
from tests.support.waiting import eventually


@contextmanager
def running_engine_socket(path: Path) -> Iterator[Path]:
    """The tests' engine, serving at ``path``."""
    process = subprocess.Popen(
        [ENGINE, "system", "service", "--time=0", f"unix://{path}"],
        env=dict(engine_environment()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _answers(path), f"the engine answers at {path}", seconds=20)
        yield path
    finally:
        end(process)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 " in client.recv(1024)
