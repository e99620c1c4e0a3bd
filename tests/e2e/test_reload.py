# SPDX-License-Identifier: Apache-2.0
"""Settings that change under a running agent: by signal, and by whoever writes the file."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import AgentProcess, running_agent
from tests.support.clients import request
from tests.support.collector import Collector
from tests.support.exchanges import key_of
from tests.support.loadgen import start_load
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


class Configured:
    """An agent with a file that it watches."""

    def __init__(self, path: Path, agent: AgentProcess) -> None:
        self.path = path
        self.agent = agent

    def write(self, text: str) -> None:
        """As editors do: another file under the same name."""
        write(self.path, text)

    def outcome(self, outcome: str) -> float:
        return self.agent.metric("qtap_config_reloads_total", qtap_config_reload_outcome=outcome)

    def lines(self, text: str) -> list[dict[str, object]]:
        """Its log lines with this text in the body."""
        lines = [json.loads(line) for line in self.agent.stderr.splitlines()]
        return [line for line in lines if text in line["body"]]


def write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(path)


@pytest.fixture
def configured(tmp_path: Path, collector: Collector) -> Iterator[Configured]:
    path = tmp_path / "config.yaml"
    write(path, "http:\n  query_allow: [page]\n")
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
        "OTEL_QTAP_CONFIG_FILE": str(path),
    }
    with running_agent(tmp_path / "agent", settings) as agent:
        yield Configured(path, agent)


def test_selectors_apply_at_once_and_both_ways(
    configured: Configured, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    agent = configured.agent
    pipeline = agent.pipeline_pid()

    request("curl", "GET", f"{nginx.url}/hello", pki.ca)
    collector.wait_for_port(nginx.port, 2)
    configured.write("http:\n  query_allow: [page]\ncapture:\n  exclude: [nginx]\n")
    agent.wait_for_log("capture.exclude changed; applied at once")
    before = len(collector.telemetry().on_port(nginx.port, "server"))
    for _ in range(3):
        request("curl", "GET", f"{nginx.url}/missing", pki.ca)
    eventually(lambda: len(collector.telemetry().on_port(nginx.port, "client")) == 4, "the client's spans")
    assert len(collector.telemetry().on_port(nginx.port, "server")) == before

    configured.write("http:\n  query_allow: [page]\n")
    eventually(lambda: len(configured.lines("capture.exclude changed; applied at once")) == 2, "applied")
    request("curl", "GET", f"{nginx.url}/hello", pki.ca)
    eventually(
        lambda: len(collector.telemetry().on_port(nginx.port, "server")) == before + 1, "the server's span"
    )
    assert agent.pipeline_pid() == pipeline, "the pipeline was left alone"
    assert configured.outcome("applied") == 2
    agent.stop()


def test_other_settings_take_another_pipeline_and_no_probe_moves(
    configured: Configured, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    agent = configured.agent
    pipeline = agent.pipeline_pid()
    first = min(probes(agent.pid))  # of a library of the system, which stays
    configured.write("http:\n  query_allow: [page, sort]\n  request_headers: [x-tenant]\n")
    eventually(lambda: agent.pipeline_pid() != pipeline, "another pipeline runs", seconds=20)
    eventually(agent.is_ready, "ready again", seconds=20)
    request("curl", "GET", f"{nginx.url}/hello?sort=up&page=2&q=secret", pki.ca, headers=["x-tenant: a"])
    spans = collector.wait_for_spans(
        2, lambda span: span.port == nginx.port and "sort=up" in str(span.attributes), seconds=20
    )

    assert all("q=REDACTED" in str(span.attributes) for span in spans)
    assert all(span.attributes["http.request.header.x-tenant"] for span in spans)
    assert first in probes(agent.pid)
    (line,) = configured.lines("reloading:")
    assert line["attributes"]["qtap.reload.applied"] == ["http.query_allow", "http.request_headers"]  # type: ignore[index]
    assert agent.metric("qtap_pipeline_restarts_total") == 0
    agent.stop()


def probes(pid: int) -> set[int]:
    """The kernel's numbers of the BPF links that a process holds."""
    found = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found |= {int(line.split()[1]) for line in path.read_text().splitlines() if "link_id" in line}
    return found


def test_a_file_that_is_wrong_changes_nothing_and_is_told_once(configured: Configured) -> None:
    agent = configured.agent
    pipeline = agent.pipeline_pid()
    configured.write("http:\n  query_alow: [page]\n")
    agent.wait_for_log("Did you mean http.query_allow?")
    for _ in range(2):  # asked for again, the same answer is no news
        agent.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
    eventually(lambda: configured.outcome("refused") >= 2, "it is counted each time")

    assert len(configured.lines("refused")) == 1
    assert agent.pipeline_pid() == pipeline
    assert agent.is_ready()
    configured.path.unlink()
    time.sleep(2.5)
    assert len(configured.lines("refused")) == 1, "a file that is gone is waited for"
    agent.stop()


def test_what_takes_a_restart_says_so_and_the_rest_is_applied(configured: Configured) -> None:
    agent = configured.agent
    configured.write(
        "http:\n  query_allow: [page]\ncapture:\n  ring_bytes: 64MiB\n  attach: perf\nlog:\n  level: debug\n"
    )
    agent.wait_for_log("needs a restart of the agent to apply: capture.ring_bytes, capture.attach")
    agent.wait_for_log("log.level changed; applied at once")
    eventually(lambda: configured.outcome("needs_restart") == 1, "it is counted")
    agent.stop()


def test_settings_that_do_not_work_are_taken_back(configured: Configured, tmp_path: Path) -> None:
    agent = configured.agent
    pipeline = agent.pipeline_pid()
    (tmp_path / "ca.pem").write_text("no certificate")
    configured.write(
        "otel:\n  exporter_otlp_traces_endpoint: https://127.0.0.1:9/v1/traces\n"
        f"  exporter_otlp_certificate: {tmp_path / 'ca.pem'}\n"
    )
    agent.wait_for_log("those before are in force again", seconds=30)
    eventually(lambda: agent.pipeline_pid() != pipeline, "another pipeline runs")
    eventually(agent.is_ready, "ready as before", seconds=20)

    assert configured.outcome("rolled_back") == 1
    agent.stop()


def test_another_directory_has_to_be_the_pipelines_already(tmp_path: Path) -> None:
    """What it takes to give directories away was given up at start."""
    path, first, second = (tmp_path / name for name in ("config.yaml", "first", "second"))
    write(path, f"objects:\n  url: {first.as_uri()}\n")
    settings = {"OTEL_QTAP_OBJECTS_URL": "", "OTEL_QTAP_CONFIG_FILE": str(path)}
    exporters = {f"OTEL_{name}_EXPORTER": "none" for name in ("TRACES", "LOGS", "METRICS")}
    with running_agent(tmp_path / "agent", {**settings, **exporters}) as agent:
        write(path, f"objects:\n  url: {second.as_uri()}\n")
        agent.wait_for_log("CAP_CHOWN")
        assert agent.is_ready()

        uid, *_ = procfs.privileges(agent.pipeline_pid()).user_ids
        os.chown(second, uid, uid)
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_for_log("objects.url changed")
        eventually(agent.is_ready, "ready again", seconds=20)
        agent.stop()


def test_no_exchange_is_lost_by_reloading_under_load(
    configured: Configured, collector: Collector, nginx: Nginx, tmp_path: Path
) -> None:
    agent = configured.agent
    nginx.add_sized(1024)
    load = start_load(nginx.port, tmp_path / "sent", rate=100, seconds=6, run="reload", connections=8)
    time.sleep(2)
    agent.process.send_signal(signal.SIGHUP)
    load.finish()
    agent.stop()

    spans = [
        s for s in collector.telemetry().on_port(nginx.port, "server") if key_of(s).startswith("reload-")
    ]
    told, sent = {key_of(span) for span in spans}, load.ids()
    assert len(sent) > 400
    # A connection's exchange that is under way at that moment is told in two halves, the later one nameless.
    assert len(sent.keys() - told) <= 8
    assert not collector.telemetry().events("qtap.capture.lost")
    assert procfs.descendants(agent.pid) == []
