# SPDX-License-Identifier: Apache-2.0
"""Which processes are captured: include and exclude selectors."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.clients import python_program, request
from tests.support.collector import running_collector
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.subprocesses import end

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({"OTEL_QTAP_CAPTURE_EXCLUDE": "curl"}, ["server"]),
        ({"OTEL_QTAP_CAPTURE_EXCLUDE": "comm=nginx"}, ["client"]),
        ({"OTEL_QTAP_CAPTURE_EXCLUDE": "exe=/usr/*bin/*"}, []),
        ({"OTEL_QTAP_CAPTURE_INCLUDE": "exe=*/curl"}, ["client"]),
        ({"OTEL_QTAP_CAPTURE_INCLUDE": "nginx,curl", "OTEL_QTAP_CAPTURE_EXCLUDE": "nginx"}, ["client"]),
    ],
    ids=str,
)
def test_only_selected_processes_are_captured(
    settings: dict[str, str], kinds: list[str], tmp_path: Path, nginx: Nginx, pki: Pki
) -> None:
    with running_collector(tmp_path / "collector") as collector:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}
        with running_agent(tmp_path / "agent", {**endpoint, **settings}) as agent:
            request("curl", "GET", f"{nginx.url}/hello", pki.ca)
            agent.stop()
        assert [span.kind for span in collector.telemetry().on_port(nginx.port)] == kinds


LAUNCHER = """
import os, socket, ssl, sys

port, ca, *program = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
with socket.create_connection(("127.0.0.1", int(port))) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        fields = f"Host: localhost:{port}\\r\\nConnection: close\\r\\n"
        tls.sendall(f"GET /hello HTTP/1.1\\r\\n{fields}\\r\\n".encode())
        while tls.recv(4096):
            pass
sys.stdin.readline()
os.execv(program[0], program)
"""


def test_a_server_is_captured_whose_launcher_is_excluded_and_spoke_tls_itself(
    tmp_path: Path, nginx: Nginx, pki: Pki
) -> None:
    launcher = tmp_path / "vault-env"
    shutil.copy(Path(sys.executable).resolve(), launcher)
    server = python_program("tls_server.py", str(pki.server.certificate), str(pki.server.key))
    with running_collector(tmp_path / "collector") as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_QTAP_CAPTURE_EXCLUDE": "exe=vault-env",
        }
        with running_agent(tmp_path / "agent", settings) as agent:
            process = subprocess.Popen(
                [launcher, "-c", LAUNCHER, str(nginx.port), pki.ca, *server],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                # When the other end's span has arrived, the launcher is long known to be excluded.
                collector.wait_for_spans(1, lambda span: span.port == nginx.port)
                process.stdin.write("go on\n")
                process.stdin.flush()
                port = int(process.stdout.readline())
                request("curl", "GET", f"https://localhost:{port}/hello", pki.ca)
                agent.stop()
            finally:
                end(process)
        telemetry = collector.telemetry()
        assert [span.kind for span in telemetry.on_port(nginx.port)] == ["server"], "the launcher is excluded"
        assert {span.kind for span in telemetry.on_port(port)} == {"client", "server"}
