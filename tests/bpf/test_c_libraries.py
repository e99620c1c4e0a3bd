# SPDX-License-Identifier: Apache-2.0
"""Libraries with a C interface through real probes: every byte, both ends, the right socket and role."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.model.events import ConnectionClosed, ConnectionObserved, DirectionClosed, HandshakeCompleted
from otel_qtap.model.identity import PeerSource, Role
from tests.bpf.conftest import Tap, tapping
from tests.support.pki import Pki, make_pki
from tests.support.tls_ends import (
    LIBRARIES,
    VERSIONS,
    library_file,
    running_end_server,
    start_end_client,
    stream,
)

pytestmark = pytest.mark.bpf

SIZE, ROUNDS = 1_000_000, 2


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def tap() -> Iterator[Tap]:
    with tapping("multi", files=[library_file(library) for library in LIBRARIES]) as tap:
        yield tap


def talk(tap: Tap, library: str, pki: Pki, directory: Path, version: int) -> tuple[int, int, int]:
    """Have a client and a server on a library talk; returns the pids of both, and the port."""
    with running_end_server(library, pki, directory) as server:
        client = start_end_client(library, server.port, pki, version=version, size=SIZE, rounds=ROUNDS)
        assert tap.read_until_end(client) == 0
    tap.read()
    return client.pid, server.pid, server.port


@pytest.mark.parametrize(
    ("library", "version"), [(library, version) for library in LIBRARIES for version in VERSIONS[library]]
)
def test_both_ends_see_the_same_bytes(library: str, version: int, tap: Tap, pki: Pki, tmp_path: Path) -> None:
    client, server, port = talk(tap, library, pki, tmp_path, version)

    assert [*tap.streams(client).values()] == [stream(SIZE * ROUNDS)] * 2
    assert [*tap.streams(server).values()] == [stream(SIZE * ROUNDS)] * 2
    for pid, role in ((client, Role.CLIENT), (server, Role.SERVER)):
        seen = tap.of(ConnectionObserved, pid)[-1]
        near, far = (seen.local, seen.remote) if role is Role.SERVER else (seen.remote, seen.local)
        assert (seen.role, seen.peer_source) == (role, PeerSource.NESTED_SYSCALL)
        assert (seen.tls_library, seen.handshake_seen) == (library, True)
        assert near is not None
        assert far is not None
        assert near.port == port
        assert far.port not in (0, port)
        (closed,) = tap.of(ConnectionClosed, pid)
        assert (closed.egress_position, closed.ingress_position) == (SIZE * ROUNDS, SIZE * ROUNDS)
        assert len(tap.of(HandshakeCompleted, pid)) == 1
    assert len(tap.of(DirectionClosed, client)) == (library != "nss")
    assert not any(loss.events for loss in tap.counters.read().values())
