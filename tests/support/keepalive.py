# SPDX-License-Identifier: Apache-2.0
"""``programs/keepalive_client.py`` as a process: exchanges on one connection, when a test wants them."""

import subprocess
from dataclasses import dataclass


@dataclass(slots=True)
class KeepaliveClient:
    """A running client; it connects by itself."""

    process: "subprocess.Popen[str]"

    def wait_connected(self) -> None:
        """Wait for its handshake."""
        assert self._line() == "connected\n"

    def get(self, target: str) -> None:
        """One exchange on its connection."""
        assert self.process.stdin is not None
        self.process.stdin.write(target + "\n")
        self.process.stdin.flush()
        assert self._line() == "200\n"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()
