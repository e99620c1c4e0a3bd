# SPDX-License-Identifier: Apache-2.0
"""Free loopback ports, and waiting for a server to listen on one."""

import socket
import subprocess

from tests.support.waiting import eventually


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
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
