# SPDX-License-Identifier: Apache-2.0
"""What observed processes call themselves cannot harm the agent that reads it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.collector import Collector
from tests.support.exchanges import path_of
from tests.support.pki import Pki
from tests.support.tls_servers import TlsServer

pytestmark = pytest.mark.e2e

NAMES = (
    b"cu\xffrl",
    b"cu\x1b[31mrl",
    b"cu\nrl",
    b"cu) S 1 rl",
    b"../curl".replace(b"/", b"\xe2\x88\x95"),
    b"n" * 200,
)


def test_odd_and_endless_names_are_told_and_end_no_process(
    tmp_path: Path, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    with running_agent(tmp_path / "agent", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}) as agent:
        before = agent.lasting_pids
        for number, name in enumerate(NAMES):
            executable = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 - names of any bytes
            shutil.copy("/usr/bin/curl", executable)
            _get(executable, cpython_server, pki, f"name{number}", {})
        for number, value in enumerate(("\x01" * 120_000, "é" * 60_000, "../../etc", "a=b,c")):
            for variable in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
                text = f"service.name={value}" if "RESOURCE" in variable else value
                _get(b"/usr/bin/curl", cpython_server, pki, f"{variable[5:8]}{number}", {variable: text})

        spans = collector.wait_for_port(cpython_server.port, 2 * (len(NAMES) + 8))
        assert agent.lasting_pids == before, "a process of the agent did not live through it"
        assert '"severity_text": "ERROR"' not in agent.stderr
        agent.stop()

    wanted = {f"name{number}" for number in range(len(NAMES))}
    wanted |= {f"{kind}{number}" for kind in ("SER", "RES") for number in range(4)}
    clients = {path_of(span).rpartition("/")[2] for span in spans if span.kind == "client"}
    assert clients == wanted
    assert not [path for path in agent.objects.rglob("*") if not path.resolve().is_relative_to(agent.objects)]


def _get(executable: bytes, server: TlsServer, pki: Pki, name: str, environment: dict[str, str]) -> None:
    subprocess.run(
        [executable, "--silent", "--output", "/dev/null", "--cacert", pki.ca, f"{server.url}/echo/{name}"],
        env={**os.environ, **environment},
        check=True,
    )
