# SPDX-License-Identifier: Apache-2.0
"""Clients and servers on GnuTLS, NSS, Mbed TLS, wolfSSL and s2n: both ends' spans and the payload."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess
from tests.support.collector import Collector
from tests.support.downloads import DOWNLOADERS
from tests.support.lighttpd import MODULES, Lighttpd, running_lighttpd
from tests.support.otlp_records import Span
from tests.support.payloads import self_describing
from tests.support.pki import Pki
from tests.support.stored import wait_for_reference

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[dict[str, Lighttpd]]:
    """A lighttpd on each library."""
    directory = tmp_path_factory.mktemp("lighttpd")
    with ExitStack() as stack:
        yield {
            module: stack.enter_context(running_lighttpd(module, directory / module, pki))
            for module in MODULES
        }


@pytest.mark.parametrize(
    ("client", "module"),
    [("wget", "gnutls"), ("libcurl-nss", "nss"), ("awscrt", "mbedtls"), ("curl", "wolfssl")],
)
def test_a_download_is_told_by_both_ends(
    client: str,
    module: str,
    servers: dict[str, Lighttpd],
    agent: AgentProcess,
    collector: Collector,
    pki: Pki,
    tmp_path: Path,
) -> None:
    server, body = servers[module], self_describing(client, 200_000)
    (server.files / client).write_bytes(body)
    (server.files / "first").write_bytes(b"seen or not")
    # A library of no place that the linker knows is met when a process maps it, and probed for the next one.
    for name in ("first", client) if client == "awscrt" else (client,):
        command = DOWNLOADERS[client](server.url(name), pki, tmp_path / "answer")
        subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)
    assert (tmp_path / "answer").read_bytes() == body

    def ours(span: Span) -> bool:
        url = span.attributes.get("url.full") or span.attributes.get("url.path", "")
        return span.port == server.port and url.endswith(f"/{client}")

    near, far = sorted(collector.wait_for_spans(2, ours), key=lambda span: span.kind)
    assert (near.kind, far.kind) == ("client", "server")
    for span in (near, far):
        assert {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "http.response.body.size": len(body),
            "network.peer.address": "127.0.0.1",
            "network.protocol.version": "1.1",
            "qtap.capture.complete": True,
            "qtap.capture.side": span.kind,
            "qtap.peer.source": "nested_syscall",
        }.items() <= span.attributes.items()
        assert wait_for_reference(span.body_reference("response")).body == body
    assert near.attributes["network.peer.port"] == server.port
    assert far.attributes["process.pid"] == server.pid
