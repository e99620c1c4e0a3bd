# SPDX-License-Identifier: Apache-2.0
"""What a handshake agreed on, told by both ends: in short on each span, in full on the event."""

import hashlib
import ssl
import subprocess
import sys

import pytest

from tests.support.agent import AgentProcess
from tests.support.collector import Collector
from tests.support.nginx import Nginx
from tests.support.otlp_records import LogRecord
from tests.support.pki import Pki
from tests.support.tls_servers import TlsServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


def handshakes_of(collector: Collector, port: int, version: str) -> list[LogRecord]:
    """Events of both ends of the one connection with a server that has this version."""
    found: list[LogRecord] = []

    def both_there() -> bool:
        found[:] = [
            event
            for event in collector.telemetry().events("qtap.tls.handshake")
            if event.attributes.get("tls.protocol.version") == version
            and port in {event.attributes.get(f"network.{end}.port") for end in ("peer", "local")}
        ]
        return len(found) >= 2

    eventually(both_there, f"the events of a handshake of TLS {version}")
    return found


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_both_ends_tell_what_was_agreed_on(
    version: str, agent: AgentProcess, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    subprocess.run(
        ["curl", "-sS", "--cacert", pki.ca, "--tlsv1.2", "--tls-max", version, f"{nginx.url}/hello"],
        check=True,
        capture_output=True,
    )
    events = handshakes_of(collector, nginx.port, version)
    spans = collector.wait_for_spans(
        2, lambda span: span.port == nginx.port and span.attributes.get("tls.protocol.version") == version
    )

    assert sorted(event.attributes["qtap.capture.side"] for event in events) == ["client", "server"]
    assert sorted(span.kind for span in spans) == ["client", "server"]
    for told in (*events, *spans):
        assert told.attributes["tls.protocol.name"] == "tls"
        assert told.attributes["tls.cipher"].startswith("TLS_")
        assert told.attributes["tls.resumed"] is False
        assert told.attributes["qtap.tls.client.server_name"] == "localhost"
        assert told.attributes.get("tls.next_protocol") == ("http/1.1" if version == "1.2" else None)
    for span in spans:
        assert not [name for name in span.attributes if "ja3" in name or "subject" in name]
    near, far = (event.attributes for event in events)
    for name in (
        "server.address",
        "tls.curve",
        "tls.client.ja3",
        "qtap.tls.client.ja4",
        "tls.server.ja3s",
        "qtap.tls.server.ja4s",
        "tls.client.supported_ciphers",
        "qtap.tls.client.next_protocols",
    ):
        assert near.get(name) == far.get(name), name
    assert near["server.address"] == "localhost"
    assert near["qtap.tls.client.ja4"].startswith(f"t{version.replace('.', '')}d")
    assert near["qtap.tls.server.ja4s"].startswith(f"t{version.replace('.', '')}")
    assert near["qtap.tls.client.next_protocols"] == ["h2", "http/1.1"]
    assert near["tls.cipher"] in near["tls.client.supported_ciphers"]

    der = ssl.PEM_cert_to_DER_cert(pki.server.certificate.read_text().partition("\n\n")[0])
    for event in events:
        certificate = {
            name: value for name, value in event.attributes.items() if name.startswith("tls.server.")
        }
        if version == "1.3":
            assert set(certificate) == {"tls.server.ja3s"}
            continue
        assert certificate["tls.server.hash.sha256"] == hashlib.sha256(der).hexdigest().upper()
        assert "CN=" in certificate["tls.server.issuer"] or "O=" in certificate["tls.server.issuer"]
        assert certificate["tls.server.subject"]
        assert certificate["tls.server.not_before"] < certificate["tls.server.not_after"]
        assert "tls.client.subject" not in event.attributes


IMPLICIT = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
with context.wrap_socket(
    socket.create_connection(("localhost", int(sys.argv[2]))),
    server_hostname="localhost",
    do_handshake_on_connect=False,
) as tls:
    tls.sendall(b"GET /hello HTTP/1.0\\r\\nHost: localhost:%d\\r\\n\\r\\n" % int(sys.argv[2]))
    while tls.recv(65536):
        pass
"""


def test_a_handshake_that_a_write_makes_on_its_way_is_told_once(
    agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    subprocess.run([sys.executable, "-c", IMPLICIT, pki.ca, str(cpython_server.port)], check=True)
    [span] = collector.wait_for_spans(
        1, lambda span: span.port == cpython_server.port and span.kind == "client"
    )
    events = handshakes_of(collector, cpython_server.port, span.attributes["tls.protocol.version"])

    assert len(events) == 2
    [near] = [event.attributes for event in events if event.attributes["qtap.capture.side"] == "client"]
    assert near["process.pid"] == span.attributes["process.pid"]
    assert near["tls.established"] is True
    assert near["server.address"] == "localhost"
    assert "qtap.tls.handshake.duration" not in near
