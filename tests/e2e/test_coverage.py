# SPDX-License-Identifier: Apache-2.0
"""Every process that speaks TLS is captured, or listed with the right reason soon after its handshake."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from otel_qtap.agent.coverage.judging import MISSED_CONNECTIONS
from tests.support.agent import AgentProcess, run_cli, running_agent
from tests.support.clients import PROGRAMS, request
from tests.support.collector import Collector
from tests.support.keepalive import KeepaliveClient
from tests.support.memory_handshake import client_hello
from tests.support.packages import npm_binary, wheel
from tests.support.pki import Pki
from tests.support.subprocesses import end
from tests.support.tls_servers import TlsServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

DENO, PRIMP = "2.9.6", "2.0.1"
LISTED_WITHIN_SECONDS = 5.0
"""From the first handshake on."""
CONVERSATION_BYTES = 100_000
"""More than any handshake."""

DENO_CLIENT = """
await (await fetch(Deno.args[0])).text();
console.log("done");
for await (const _ of Deno.stdin.readable) {}
"""
PRIMP_CLIENT = """
import sys, primp
print(primp.Client(ca_cert_file=sys.argv[2]).get(sys.argv[1]).status_code, flush=True)
sys.stdin.read()
"""
SENDS_A_HELLO = """
import ctypes, socket, sys
libraries = [ctypes.CDLL(path) for path in sys.argv[3:]]
with socket.create_connection(("localhost", int(sys.argv[1]))) as plain:
    plain.sendall(bytes.fromhex(sys.argv[2]))
    plain.recv(1)
print("done", flush=True)
sys.stdin.read()
"""
TWO_LIBRARIES = """
import sys, ssl, urllib.request, primp
url, ca, count, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
urllib.request.urlopen(f"{url}/hello/one", context=ssl.create_default_context(cafile=ca)).read()
for _ in range(count + 1):  # the last one stays open
    primp.Client(ca_cert_file=ca).post(f"{url}/echo", content=bytes(size))
print("done", flush=True)
sys.stdin.read()
"""
LOOKS_LIKE_BORINGSSL = """
const char *volatile words[] = {"CLIENT_RANDOM", "ssl/ssl_lib.cc"};
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[AgentProcess]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
        "OTEL_QTAP_CAPTURE_EXCLUDE": "exe=*/unwanted",
    }
    with running_agent(tmp_path_factory.mktemp("agent"), settings) as agent:
        yield agent


@contextmanager
def speaking(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[tuple[int, str]]:
    """A program that has spoken TLS, or serves it, and lives on: its process, and what it said."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{command} said nothing"
            yield process.pid, line.strip()
        finally:
            assert process.stdin is not None
            process.stdin.close()
            end(process)


def listed(agent: AgentProcess, pid: int) -> dict[str, Any] | None:
    for process in json.loads(agent.health("/coverage")[1])["not_captured"]:
        if process["pid"] == pid:
            return dict(process)
    return None


def reason(agent: AgentProcess, pid: int) -> tuple[str, str, str]:
    """Why a process is not captured, what it speaks TLS with, and the text."""
    found = eventually(
        lambda: listed(agent, pid), f"process {pid} is listed", seconds=LISTED_WITHIN_SECONDS, pause=0.1
    )
    return found["reason"], found["library"], found["detail"]


def events(collector: Collector, pid: int) -> list[dict[str, Any]]:
    return [
        record.attributes
        for record in collector.telemetry().logs
        if record.event_name == "qtap.process.not_captured" and record.attributes["process.pid"] == pid
    ]


def wait_for_event(collector: Collector, pid: int) -> dict[str, Any]:
    """The one event about a process."""
    (event,) = eventually(lambda: events(collector, pid), f"an event about process {pid}")
    return event


def java(*arguments: str) -> list[str]:
    return ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", str(PROGRAMS / "JavaTls.java"), *arguments]


def test_java_is_listed_as_client_and_server_and_told_by_doctor(
    tmp_path: Path, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    store = tmp_path / "store.p12"
    key = [*("-in", str(pki.server.certificate)), *("-inkey", str(pki.server.key))]
    subprocess.run(
        ["openssl", "pkcs12", "-export", *key, "-out", str(store), "-passout", "pass:secret"], check=True
    )
    with (
        speaking(java("server", str(store), "secret")) as (server, port),
        speaking(java("client", str(pki.ca), str(cpython_server.port))) as (client, _),
    ):
        assert reason(agent, client)[:2] == ("unsupported", "java")
        request("curl", "GET", f"https://localhost:{port}/", pki.ca)
        why = reason(agent, server)
        assert why[:2] == ("unsupported", "java")
        assert "libjvm.so" in why[2]
        assert "JSSE" in why[2]

        report = json.loads(run_cli("doctor", "--json", environment=agent.environment).stdout)
        (check,) = (check for check in report["checks"] if check["id"] == "capture.coverage")
        assert check["status"] == "warn"
        assert {client, server} <= {process["pid"] for process in check["data"]["not_captured"]}
        assert "JSSE" in check["detail"]
        assert agent.metric("qtap_coverage_processes", qtap_coverage_reason="unsupported") >= 2
    for pid in (client, server):
        event = wait_for_event(collector, pid)
        assert event["qtap.coverage.reason"] == "unsupported"
        assert event["qtap.tls.library"] == "java"
        assert event["process.executable.name"] == "java"
    ended = eventually(lambda: (listed(agent, client) or {}).get("has_ended"), "it is known to have ended")
    assert ended


def test_deno_is_listed(tmp_path: Path, agent: AgentProcess, cpython_server: TlsServer, pki: Pki) -> None:
    program = tmp_path / "client.js"
    program.write_text(DENO_CLIENT)
    deno = npm_binary("@deno/linux-x64-glibc", DENO, "deno")
    command = [deno, "run", "--quiet", "--allow-net", "--cert", str(pki.ca), str(program)]
    environment = {"DENO_DIR": str(tmp_path / "deno"), "DENO_NO_UPDATE_CHECK": "1"}
    with speaking([*command, f"{cpython_server.url}/hello/deno"], environment) as (pid, _):
        assert reason(agent, pid)[:2] == ("unsupported", "deno")


def test_rustls_in_a_python_module_is_listed(
    agent: AgentProcess, cpython_server: TlsServer, pki: Pki
) -> None:
    command = [sys.executable, "-c", PRIMP_CLIENT, f"{cpython_server.url}/hello/rustls", str(pki.ca)]
    with speaking(command, {"PYTHONPATH": str(wheel("primp", PRIMP))}) as (pid, _):
        why = reason(agent, pid)
    assert why[:2] == ("unsupported", "rustls")
    assert "primp" in why[2]


def test_process_with_a_second_library_is_listed_as_captured_in_part(
    agent: AgentProcess, cpython_server: TlsServer, pki: Pki
) -> None:
    arguments = [cpython_server.url, str(pki.ca), str(MISSED_CONNECTIONS), str(CONVERSATION_BYTES)]
    command = [sys.executable, "-c", TWO_LIBRARIES, *arguments]
    with speaking(command, {"PYTHONPATH": str(wheel("primp", PRIMP))}) as (pid, _):
        found = eventually(lambda: listed(agent, pid), "it is listed", seconds=LISTED_WITHIN_SECONDS)
    assert (found["state"], found["reason"], found["library"]) == ("partial", "unsupported", "rustls")
    assert str(MISSED_CONNECTIONS) in found["detail"]


def test_process_without_any_library_is_listed(agent: AgentProcess, cpython_server: TlsServer) -> None:
    hello = client_hello().hex()
    command = [sys.executable, "-c", SENDS_A_HELLO, str(cpython_server.port), hello]
    with speaking(command) as (pid, _):
        assert reason(agent, pid)[:2] == ("no_library", "")


def test_library_in_which_no_site_is_found_is_listed_with_what_was_missing(
    tmp_path: Path, agent: AgentProcess, cpython_server: TlsServer
) -> None:
    source, library = tmp_path / "library.c", tmp_path / "strange.so"
    source.write_text(LOOKS_LIKE_BORINGSSL)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    hello = client_hello().hex()
    command = [sys.executable, "-c", SENDS_A_HELLO, str(cpython_server.port), hello, str(library)]
    with speaking(command) as (pid, _):
        why = reason(agent, pid)
    assert why[:2] == ("refused", "boringssl")
    assert str(library) in why[2]


def test_excluded_process_is_listed_as_wanted_so(
    tmp_path: Path, agent: AgentProcess, cpython_server: TlsServer, pki: Pki
) -> None:
    unwanted = tmp_path / "unwanted"
    shutil.copy2(shutil.which("curl") or "", unwanted)
    url = f"{cpython_server.url}/hello/unwanted"
    before = {process["pid"] for process in json.loads(agent.health("/coverage")[1])["not_captured"]}
    subprocess.run([unwanted, "-sS", "-o", "/dev/null", "--cacert", pki.ca, url], check=True)

    def excluded() -> list[dict[str, Any]]:
        return [
            process
            for process in json.loads(agent.health("/coverage")[1])["not_captured"]
            if process["pid"] not in before and process["reason"] == "excluded"
        ]

    (process,) = eventually(excluded, "it is listed", seconds=LISTED_WITHIN_SECONDS)
    assert process["executable"] == str(unwanted)
    assert "OTEL_QTAP_CAPTURE_EXCLUDE" in process["detail"]


def test_captured_processes_are_counted_and_not_listed(
    agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    before = agent.metric("qtap_coverage_connections_total", qtap_coverage_ending="captured")
    program = [sys.executable, str(PROGRAMS / "keepalive_client.py"), str(cpython_server.port), str(pki.ca)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        client = KeepaliveClient(process)
        client.wait_connected()
        client.get("/hello/captured")
        eventually(
            lambda: agent.metric("qtap_coverage_processes", qtap_coverage_state="captured") >= 2,
            "client and server are captured",
        )
        assert listed(agent, process.pid) is None
        assert process.stdin is not None
        process.stdin.close()
    assert listed(agent, cpython_server.pid) is None
    eventually(
        lambda: agent.metric("qtap_coverage_connections_total", qtap_coverage_ending="captured") > before,
        "the connection's end is counted",
    )
    assert events(collector, process.pid) == []
