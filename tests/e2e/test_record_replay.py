# SPDX-License-Identifier: Apache-2.0
"""A recording goes through the same chain without a kernel and comes out the same."""

from pathlib import Path

import pytest

from tests.support.agent import AgentProcess, run_cli
from tests.support.clients import request
from tests.support.collector import Collector, running_collector
from tests.support.exchanges import path_of
from tests.support.otlp_records import Span
from tests.support.payloads import self_describing
from tests.support.pki import Pki
from tests.support.stored import wait_for_reference
from tests.support.tls_servers import TlsServer

pytestmark = pytest.mark.e2e


def essence(span: Span) -> tuple[object, ...]:
    """What must not depend on which agent's probe was hit first, and on where payloads went.

    Nor on the offset between the clocks, which creeps: a process's start may fall to another hundredth.
    """
    told = {k: v for k, v in span.attributes.items() if "uri" not in k and "_ref" not in k}
    told = {
        k: v for k, v in told.items() if not k.startswith("qtap.payload.") and k != "process.creation.time"
    }
    bodies = [wait_for_reference(span.body_reference(part)).body for part in ("request", "response")]
    return (span.name, span.kind, span.status, sorted(told.items(), key=str), bodies)


def test_replayed_recording_gives_the_same_spans_and_payloads(
    tmp_path: Path, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    recording = tmp_path / "recording"
    recorder = AgentProcess(tmp_path / "recorder", {}, command=("record", str(recording)))
    try:
        recorder.start()
        recorder.wait_for_log("capturing: ")
        for number in range(5):
            body = self_describing(f"r{number}", 20_000)
            request("curl", "POST", f"{cpython_server.url}/echo/r{number}", pki.ca, body=body)
        recorder.stop()
    finally:
        recorder.kill()
    original = collector.wait_for_port(cpython_server.port, 10)

    with running_collector(tmp_path / "second") as second:
        environment = AgentProcess(
            tmp_path / "replayed", {"OTEL_EXPORTER_OTLP_ENDPOINT": second.http_endpoint}
        ).environment
        done = run_cli("replay", str(recording), environment=environment)
        assert done.returncode == 0, done.stderr.decode()
        replayed = second.wait_for_port(cpython_server.port, 10)

    def order(span: Span) -> tuple[str, str]:
        return span.kind, path_of(span)

    assert [essence(s) for s in sorted(replayed, key=order)] == [
        essence(s) for s in sorted(original, key=order)
    ]


def test_recording_holds_plaintext_so_only_its_owner_may_read_it(tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    agent = AgentProcess(tmp_path / "agent", {}, command=("record", str(recording)))
    try:
        agent.start()
        agent.wait_for_log("capturing: ")
        agent.stop()
    finally:
        agent.kill()
    assert recording.stat().st_mode & 0o077 == 0


def test_damaged_recording_is_refused_without_a_traceback(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"this is no recording" * 10)
    done = run_cli("replay", str(damaged), environment=AgentProcess(tmp_path / "agent", {}).environment)
    assert done.returncode == 1
    assert str(damaged) in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
