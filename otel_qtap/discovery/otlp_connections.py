# SPDX-License-Identifier: Apache-2.0
"""Which processes are connected to a collector, by the ports of OTLP (proc_pid_net(5), proc_pid_fd(5)).

Exports without TLS pass no probe; their connections stay open between two exports and are seen here.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping

from otel_qtap.discovery.bounded import read_bounded

_MAX_TABLE = 8 << 20
"""Some fifty thousand sockets of a network namespace; those beyond are not looked at."""
_ESTABLISHED = b"01"
_SOCKET = "socket:["


class OtlpConnections:
    """Looks at open connections. ``proc`` is where procfs is mounted."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc

    def among(self, ports: Mapping[int, frozenset[int]]) -> set[int]:
        """The processes that hold a connection to one of their own ports of OTLP.

        ``ports`` has them by process id. Each network namespace is read once, and descriptors only
        where there is such a connection at all.
        """
        found: set[int] = set()
        tables: dict[str, dict[str, int]] = {}
        wanted = frozenset[int]().union(*ports.values())
        for pid, own in ports.items():
            namespace = self._link(f"{pid}/ns/net")
            if not namespace:
                continue
            if namespace not in tables:
                tables[namespace] = dict(self._connections(pid, wanted))
            table = tables[namespace]
            if table and any(table.get(socket) in own for socket in self._sockets(pid)):
                found.add(pid)
        return found

    def _connections(self, pid: int, ports: frozenset[int]) -> Iterator[tuple[str, int]]:
        """Inode and remote port of the connections of a process's namespace to these ports."""
        ends = {b":%04X" % port: port for port in ports}
        for name in ("tcp", "tcp6"):
            table = read_bounded(f"{self._proc}/{pid}/net/{name}", _MAX_TABLE)
            if not any(end in table for end in ends):
                continue
            for line in table.split(b"\n")[1:]:
                fields = line.split(None, 10)
                if len(fields) < 10 or fields[3] != _ESTABLISHED:
                    continue
                port = ends.get(fields[2][-5:])
                if port is not None:
                    yield fields[9].decode("ascii", "replace"), port

    def _sockets(self, pid: int) -> Iterator[str]:
        """Inodes of the sockets that a process holds."""
        with contextlib.suppress(OSError), os.scandir(f"{self._proc}/{pid}/fd") as descriptors:
            for descriptor in descriptors:
                target = self._link(f"{pid}/fd/{descriptor.name}")
                if target.startswith(_SOCKET):
                    yield target[len(_SOCKET) : -1]

    def _link(self, path: str) -> str:
        try:
            return os.readlink(f"{self._proc}/{path}")  # noqa: PTH115
        except OSError:
            return ""
