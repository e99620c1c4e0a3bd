# SPDX-License-Identifier: Apache-2.0
"""Free loopback ports, and waiting for a server to listen on one."""

import contextlib
import random
import socket
import subprocess

from tests.support.waiting import eventually

_OUT_OF_THE_WAY = range(10_000, 32_000)
"""Below what the kernel gives to clients (ip_local_port_range), to any of them at any moment."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has now, and hardly anybody will have by chance."""
    while True:
        port = random.choice(_OUT_OF_THE_WAY)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_listening(
    port: int, process: "subprocess.Popen[bytes]", *, seconds: float = 15, address: str = "127.0.0.1"
) -> None:
    """Wait until ``process`` accepts connections on a loopback port; fail at once if it exits."""

    def listening() -> bool:
        if process.poll() is not None:
            raise AssertionError(f"{process.args!r} exited {process.returncode} before it listened")
        with socket.socket() as probe:
            return probe.connect_ex((address, port)) == 0

    eventually(listening, f"something listens on port {port}", seconds=seconds)
