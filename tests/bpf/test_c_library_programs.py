# SPDX-License-Identifier: Apache-2.0
"""Real programs on GnuTLS, NSS, Mbed TLS and wolfSSL: whole conversations, the same at both ends."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from otel_qtap.model.events import ConnectionObserved, DataCaptured
from otel_qtap.model.identity import ConnectionId, Direction, Role
from tests.bpf.conftest import LIBSSL, Tap, tapping
from tests.support.downloads import DOWNLOADERS
from tests.support.lighttpd import MODULES, Lighttpd, running_lighttpd
from tests.support.payloads import self_describing
from tests.support.pki import Pki, make_pki
from tests.support.ports import free_port, wait_listening
from tests.support.subprocesses import running
from tests.support.tls_ends import LINKED, awscrt, library_file, nss_database

pytestmark = pytest.mark.bpf

SIZE = 1_000_000


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def tap() -> Iterator[Tap]:
    files = [LIBSSL, str(awscrt() / "_awscrt.abi3.so"), *map(library_file, LINKED)]
    with tapping("multi", files=files) as tap:
        yield tap


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[dict[str, Lighttpd]]:
    """A lighttpd on each library, with a large file and a Git repository."""
    directory = tmp_path_factory.mktemp("lighttpd")
    repository = directory / "repository"
    git = {**os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": "/dev/null"}
    git |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    subprocess.run(["git", "init", "-q", "-b", "main", repository], check=True, env=git)
    (repository / "file").write_bytes(self_describing("committed", 300_000))
    subprocess.run(["git", "-C", repository, "add", "file"], check=True, env=git)
    subprocess.run(["git", "-C", repository, "commit", "-q", "-m", "all"], check=True, env=git)
    with ExitStack() as stack:
        running = {
            module: stack.enter_context(running_lighttpd(module, directory / module, pki))
            for module in MODULES
        }
        for module, server in running.items():
            (server.files / "large").write_bytes(self_describing(module, SIZE))
            target = server.files / "repository.git"
            subprocess.run(["git", "clone", "-q", "--bare", repository, target], check=True, env=git)
            subprocess.run(["git", "-C", target, "update-server-info"], check=True, env=git)
        yield running


def ends(tap: Tap, port: int) -> dict[Role, dict[tuple[ConnectionId, Direction], bytes]]:
    """Streams of all connections to a port, those of clients and those of servers; fails on a hole."""
    seen = {event.connection: event for event in tap.events if isinstance(event, ConnectionObserved)}
    found: dict[Role, dict[tuple[ConnectionId, Direction], bytes]] = {Role.CLIENT: {}, Role.SERVER: {}}
    for event in tap.events:
        if not isinstance(event, DataCaptured):
            continue
        facts = seen.get(event.connection)  # None: whoever else speaks TLS on this host
        if not facts or not facts.local or not facts.remote:
            continue
        if port not in (facts.local.port, facts.remote.port):
            continue
        assert facts.role is (Role.CLIENT if facts.remote.port == port else Role.SERVER)
        assert facts.handshake_seen
        streams = found[facts.role]
        key = (event.connection, event.direction)
        assert len(streams.setdefault(key, b"")) == event.position, "a hole in the stream"
        assert len(event.data) == event.size
        streams[key] += event.data
    return found


def carried(streams: dict[tuple[ConnectionId, Direction], bytes], direction: Direction) -> list[bytes]:
    return sorted(stream for (_, way), stream in streams.items() if way is direction)


@pytest.mark.parametrize(
    ("client", "module"),
    [
        ("wget", "gnutls"),
        ("curl", "wolfssl"),
        ("aria2c", "mbedtls"),
        ("apt", "nss"),
        ("awscrt", "gnutls"),
        ("libcurl-gnutls", "nss"),
        ("libcurl-nss", "nss"),
        ("libcurl-nss", "mbedtls"),
    ],
)
def test_a_download_is_the_same_at_both_ends(
    client: str, module: str, tap: Tap, servers: dict[str, Lighttpd], pki: Pki, tmp_path: Path
) -> None:
    server, answer = servers[module], tmp_path / "answer"
    tap.events.clear()
    command = DOWNLOADERS[client](server.url("large"), pki, answer)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, text=True)
    assert tap.read_until_end(process) == 0

    body = self_describing(module, SIZE)
    assert answer.read_bytes() == body
    found = ends(tap, server.port)
    asked = carried(found[Role.CLIENT], Direction.EGRESS)
    answered = carried(found[Role.CLIENT], Direction.INGRESS)
    assert asked == carried(found[Role.SERVER], Direction.INGRESS)
    assert answered == carried(found[Role.SERVER], Direction.EGRESS)
    assert len(asked) == len(answered) == 1
    assert asked[0].startswith(b"GET /large HTTP/1.1\r\n")
    assert asked[0].endswith(b"\r\n\r\n")
    assert answered[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert answered[0].endswith(b"\r\n\r\n" + body)


def test_git_fetches_a_repository(tap: Tap, servers: dict[str, Lighttpd], pki: Pki, tmp_path: Path) -> None:
    server = servers["gnutls"]
    tap.events.clear()
    command = ["git", "clone", "-q", server.url("repository.git"), str(tmp_path / "clone")]
    environment = {**os.environ, "GIT_SSL_CAINFO": str(pki.ca)}
    assert tap.read_until_end(subprocess.Popen(command, env=environment, text=True)) == 0

    assert (tmp_path / "clone" / "file").read_bytes() == self_describing("committed", 300_000)
    found = ends(tap, server.port)
    for near, far in ((Direction.EGRESS, Direction.INGRESS), (Direction.INGRESS, Direction.EGRESS)):
        assert carried(found[Role.CLIENT], near) == carried(found[Role.SERVER], far)
    asked = b"".join(carried(found[Role.CLIENT], Direction.EGRESS))
    assert asked.count(b"GET /repository.git/") >= 5
    answered = b"".join(carried(found[Role.CLIENT], Direction.INGRESS))
    assert answered.count(b"HTTP/1.1 ") == asked.count(b" HTTP/1.1\r\n")


def test_gnutls_s_own_programs(tap: Tap, pki: Pki, tmp_path: Path) -> None:
    port, text = free_port(), self_describing("gnutls-cli", 50_000)
    tap.events.clear()
    serve = ["gnutls-serv", "--echo", "--quiet", f"--port={port}", f"--x509certfile={pki.server.certificate}"]
    with running([*serve, f"--x509keyfile={pki.server.key}"], tmp_path / "log") as server:
        wait_listening(port, server)
        command = ["gnutls-cli", f"--x509cafile={pki.ca}", f"--port={port}", "localhost"]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        client.communicate(text, timeout=30)
        tap.read()

    found = ends(tap, port)
    assert carried(found[Role.CLIENT], Direction.EGRESS) == [text]
    assert carried(found[Role.SERVER], Direction.INGRESS) == [text]
    echoed = carried(found[Role.SERVER], Direction.EGRESS)[0]
    assert echoed
    assert echoed.startswith(carried(found[Role.CLIENT], Direction.INGRESS)[0])


def test_nss_s_own_programs(tap: Tap, pki: Pki, tmp_path: Path) -> None:
    port, database = free_port(), nss_database(pki.server, tmp_path / "database")
    request = b"GET /about HTTP/1.0\r\n\r\n"
    (tmp_path / "request").write_bytes(request)
    tap.events.clear()
    serve = ["selfserv", "-d", database, "-n", "server", "-p", str(port), "-V", "tls1.2:tls1.3"]
    with running(serve, tmp_path / "log") as server:
        wait_listening(port, server)
        ask = ["tstclnt", "-d", database, "-h", "localhost", "-p", str(port), "-o", "-4"]
        ask += ["-A", str(tmp_path / "request")]
        output = subprocess.run(ask, check=True, capture_output=True, timeout=30).stdout
        tap.read()

    found = ends(tap, port)
    assert carried(found[Role.CLIENT], Direction.EGRESS) == [request]
    assert carried(found[Role.SERVER], Direction.INGRESS) == [request]
    (answered,) = carried(found[Role.CLIENT], Direction.INGRESS)
    assert [answered] == carried(found[Role.SERVER], Direction.EGRESS)
    assert output.endswith(answered)
    assert b"HTTP/1.0 200 OK" in answered
