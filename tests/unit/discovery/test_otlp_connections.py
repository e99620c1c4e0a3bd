# SPDX-License-Identifier: Apache-2.0
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.discovery.otlp_connections import OtlpConnections

CONNECT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print(flush=True)
sys.stdin.readline()
"""


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family, address = request.param
    with socket.socket(family) as listening:
        listening.bind((address, 0))
        listening.listen()
        yield listening


def test_a_process_that_is_connected(listener: socket.socket) -> None:
    address, port = listener.getsockname()[:2]
    with subprocess.Popen(
        [sys.executable, "-S", "-c", CONNECT, address, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        connections = OtlpConnections()
        own, other = frozenset({port}), frozenset({port - 1})
        # This process holds the listening end only: what it serves is not what it sends.
        assert connections.among({process.pid: own, os.getpid(): own}) == {process.pid}
        assert connections.among({process.pid: other, os.getpid(): own}) == set()
        process.stdin.close()


def test_nobody_and_processes_that_are_gone(tmp_path: Path) -> None:
    assert OtlpConnections().among({}) == set()
    assert OtlpConnections(str(tmp_path)).among({1: frozenset({4317})}) == set()


def test_each_namespace_is_read_once_and_what_is_not_established_does_not_count(tmp_path: Path) -> None:
    line = "   0: 0100007F:C350 0100007F:{port:04X} {state} 0:0 00:0 0 0 0 {inode} 1 0 20 4 30 10 -1\n"
    for pid, inode in ((1, 11), (2, 12), (3, 13)):
        directory = tmp_path / str(pid)
        (directory / "net").mkdir(parents=True)
        (directory / "ns").mkdir()
        (directory / "fd").mkdir()
        (directory / "ns" / "net").symlink_to("net:[1]" if pid < 3 else "net:[2]")
        (directory / "fd" / "3").symlink_to(f"socket:[{inode}]")
        (directory / "fd" / "4").symlink_to("/dev/null")
    table = "  sl  local_address rem_address   st\n" + line.format(port=4317, state="01", inode=11)
    table += line.format(port=4318, state="06", inode=12)
    (tmp_path / "1" / "net" / "tcp").write_text(table)
    (tmp_path / "2" / "net" / "tcp").write_text(line.format(port=4317, state="01", inode=12))
    (tmp_path / "3" / "net" / "tcp").write_text("damaged\n" + line.format(port=4317, state="01", inode=13))
    ports = frozenset({4317, 4318})
    assert OtlpConnections(str(tmp_path)).among({1: ports, 2: ports, 3: ports}) == {1, 3}


@given(table=st.binary() | st.text(alphabet="0:10DD \n").map(str.encode))
def test_any_table_has_an_answer(table: bytes) -> None:
    with tempfile.TemporaryDirectory() as root:
        directory = Path(root) / "1"
        (directory / "net").mkdir(parents=True)
        (directory / "ns").mkdir()
        (directory / "ns" / "net").symlink_to("net:[1]")
        (directory / "net" / "tcp").write_bytes(b"title :10DD\n" + table)
        assert OtlpConnections(root).among({1: frozenset({4317})}) == set()
