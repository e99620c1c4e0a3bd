# SPDX-License-Identifier: Apache-2.0
"""SIGTERM flushes everything and exits in time; a second one exits at once."""

import signal
import time
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import running_agent
from tests.support.clients import request
from tests.support.collector import Collector
from tests.support.exchanges import assert_one_span_for_each, path_of
from tests.support.nginx import Nginx
from tests.support.otlp_sink import OtlpSink
from tests.support.pki import Pki
from tests.support.stored import read_reference
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

LAZY = {
    "OTEL_BSP_SCHEDULE_DELAY": "600000",
    "OTEL_BLRP_SCHEDULE_DELAY": "600000",
    "OTEL_METRIC_EXPORT_INTERVAL": "600000",
    "OTEL_QTAP_OBJECTS_SEGMENT_SECONDS": "600",
}


def test_sigterm_flushes_what_waited(tmp_path: Path, collector: Collector, nginx: Nginx, pki: Pki) -> None:
    body = nginx.add_sized(5000)
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint, **LAZY}
    with running_agent(tmp_path, settings) as agent:
        for number in range(20):
            request("curl", "GET", f"{nginx.url}/sized/5000/last{number}", pki.ca)
        assert not collector.telemetry().on_port(nginx.port), "it was flushed already: nothing is tested"
        agent.stop()

    spans = [s for s in collector.wait_for_port(nginx.port, 40, seconds=2) if "/last" in path_of(s)]
    for kind in ("client", "server"):
        assert_one_span_for_each(
            [span for span in spans if span.kind == kind], [f"last{number}" for number in range(20)]
        )
    assert {read_reference(span.body_reference("response")).body for span in spans} == {body}
    assert collector.telemetry().points


def test_second_sigterm_exits_at_once(tmp_path: Path, sink: OtlpSink, nginx: Nginx, pki: Pki) -> None:
    with running_agent(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, **LAZY}) as agent:
        sink.answer_with(503, {"Retry-After": "600"})
        request("curl", "GET", f"{nginx.url}/hello", pki.ca)
        pids = agent.pids
        agent.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        began = time.monotonic()
        agent.process.send_signal(signal.SIGTERM)
        agent.process.wait(3)
        assert time.monotonic() - began < 1
    eventually(lambda: not any(map(procfs.is_alive, pids)), "no process is left", seconds=2)


def test_sigterm_ends_in_time_although_the_collector_refuses(
    tmp_path: Path, sink: OtlpSink, nginx: Nginx, pki: Pki
) -> None:
    with running_agent(tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, **LAZY}) as agent:
        sink.answer_with(503, {"Retry-After": "600"})
        request("curl", "GET", f"{nginx.url}/hello", pki.ca)
        agent.stop()
