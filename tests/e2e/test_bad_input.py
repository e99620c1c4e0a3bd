# SPDX-License-Identifier: Apache-2.0
"""What a wrong setting, a missing privilege, an unreachable backend and bad bytes get."""

import random
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess, payload_get, run_cli, running_agent
from tests.support.clients import python_program, request
from tests.support.collector import Collector
from tests.support.nginx import Nginx
from tests.support.otlp_sink import OtlpSink
from tests.support.pki import Pki
from tests.support.ports import free_port
from tests.support.s3server import running_s3_server
from tests.support.tls_servers import running_raw_echo
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_QTAP_CAPTURE_MAX_BODY_BYTES", "much"),
        ("OTEL_QTAP_OBJECTS_URL", "ftp://bucket"),
        ("OTEL_QTAP_HEALTH_ADDRESS", "127.0.0.1:99999"),
        ("OTEL_QTAP_CAPTURE_EXCLUDE", "colour=blue"),
    ],
)
def test_wrong_variable_is_refused_by_name(variable: str, value: str, tmp_path: Path) -> None:
    environment = AgentProcess(tmp_path, {variable: value}).environment
    done = run_cli("run", environment=environment)
    assert done.returncode == 2
    assert variable in done.stderr.decode()
    assert done.stdout == b""


def test_without_privilege_it_says_what_is_missing(tmp_path: Path) -> None:
    agent = AgentProcess(
        tmp_path,
        {},
        wrapper=[
            "setpriv",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--ambient-caps=-all",
            "--no-new-privs",
        ],
    )
    agent.start()
    try:
        assert agent.process.wait(20) == 3
    finally:
        agent.kill()
    assert "CAP_" in agent.stderr


def test_without_btf_it_says_so(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    script = f'mount --bind {empty} /sys/kernel/btf && exec "$@"'
    agent = AgentProcess(tmp_path / "agent", {}, wrapper=["unshare", "--mount", "sh", "-c", script, "sh"])
    agent.start()
    try:
        assert agent.process.wait(20) == 3
    finally:
        agent.kill()
    assert "BTF" in agent.stderr
    assert "Traceback" not in agent.stderr


def test_unreachable_collector_turns_readiness_false_and_nothing_is_lost(
    tmp_path: Path, sink: OtlpSink, nginx: Nginx, pki: Pki
) -> None:
    with running_agent(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}) as agent:
        request("curl", "GET", f"{nginx.url}/hello", pki.ca)
        eventually(lambda: len(sink.telemetry().on_port(nginx.port)) == 2, "the first spans arrive")
        sink.answer_with(503)
        request("curl", "GET", f"{nginx.url}/missing", pki.ca)
        eventually(lambda: not agent.is_ready(), "readiness turns false", seconds=20)
        assert agent.health("/livez")[0] == 200
        complaints = agent.stderr
        sink.answer_with(200)
        eventually(
            lambda: len(sink.telemetry().on_port(nginx.port)) == 4, "the late spans arrive", seconds=60
        )
        eventually(agent.is_ready, "readiness comes back", seconds=20)
        agent.stop()
    said = [line for line in complaints.splitlines() if sink.endpoint in line]
    assert 1 <= len(said) <= 3, "each exporter says so once, not at every try"


def test_unreachable_bucket_turns_readiness_false_and_segments_wait(
    tmp_path: Path, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    port = free_port()
    with running_s3_server(tmp_path, port=port) as s3:
        s3.client().create_bucket(Bucket="later")
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
        "OTEL_QTAP_OBJECTS_URL": "s3://later",
        **s3.environment(),
    }
    agent = AgentProcess(tmp_path / "agent", settings)
    try:
        agent.start()
        agent.wait_for_log("capturing: ")
        body = request("curl", "GET", f"{nginx.url}/hello", pki.ca).body
        span = collector.wait_for_port(nginx.port, 2, seconds=30)[-1]
        eventually(lambda: not agent.is_ready(), "readiness is false", seconds=30)
        assert agent.process.poll() is None
        with running_s3_server(tmp_path, port=port) as s3:
            eventually(lambda: s3.objects("later"), "the segment is uploaded late", seconds=60, pause=0.5)
            eventually(agent.is_ready, "readiness comes back", seconds=30)
            assert payload_get(agent, span.body_reference("response"), "--body") == body
            agent.stop()
    finally:
        agent.kill()


def test_garbage_inside_tls_harms_neither_agent_nor_neighbours(
    agent: AgentProcess, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    noise = random.Random(7)
    messages = [noise.randbytes(noise.randrange(1, 5000)) for _ in range(40)]
    messages += [
        b"GET",
        b"GET / HTTP/1.1\r\n\r\n" * 50,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\xfe\x00\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00",
    ]
    with running_raw_echo(pki) as echo:
        subprocess.run(
            python_program("raw_tls_client.py", str(echo.port), str(pki.ca)),
            input="".join(message.hex() + "\n" for message in messages),
            text=True,
            check=True,
            timeout=60,
        )
    pipeline = agent.pipeline_pid()
    body = nginx.add_sized(2000)
    assert request("curl", "GET", f"{nginx.url}/sized/2000/after", pki.ca).body == body
    spans = collector.wait_for_port(nginx.port, 2)
    assert {span.kind for span in spans} == {"client", "server"}
    assert agent.pipeline_pid() == pipeline
    assert agent.is_ready()
    assert "Traceback" not in agent.stderr
