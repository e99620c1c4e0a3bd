# SPDX-License-Identifier: Apache-2.0
"""Nothing is lost at rates that the agent is meant for; beyond them every lost byte is counted."""

import gzip
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import AgentProcess, running_agent
from tests.support.collector import Collector, running_collector
from tests.support.exchanges import key_of
from tests.support.figures import Figures
from tests.support.loadgen import start_load
from tests.support.nginx import Nginx
from tests.support.otlp_records import Span
from tests.support.payloads import sha256
from tests.support.stored import parse_reference
from tests.support.waiting import eventually

pytestmark = pytest.mark.bench


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with running_collector(tmp_path / "collector") as collector:
        yield collector


@pytest.fixture
def agent(tmp_path: Path, collector: Collector) -> Iterator[AgentProcess]:
    with running_agent(tmp_path / "agent", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}) as agent:
        yield agent


@pytest.mark.parametrize(("rate", "size"), [(4000, 1 << 10), (1000, 16 << 10), (200, 256 << 10)])
def test_every_exchange_is_told_and_every_body_exact(
    rate: int,
    size: int,
    tmp_path: Path,
    nginx: Nginx,
    collector: Collector,
    agent: AgentProcess,
    figures: Figures,
    load_seconds: float,
) -> None:
    body = nginx.add_sized(size)
    load = start_load(
        nginx.port,
        tmp_path / "sent",
        path=f"/sized/{size}",
        rate=rate,
        seconds=load_seconds,
        expect=nginx.directory / "sized" / str(size),
    )
    report = load.finish()
    agent.stop()
    spans = collector.telemetry().on_port(nginx.port, "server")
    wanted = load.ids().keys()
    told = Counter(map(key_of, spans))
    name = f"{rate:,}/s of {size >> 10} KiB for {load_seconds:g} s"
    figures.report(f"{name}: exchanges sent", report.sent, "")
    figures.report(f"{name}: rate held", report.per_second, "/s")
    missing = figures.report(f"{name}: spans missing", len(wanted - told.keys()), "", at_most=0)
    wrong = figures.report(f"{name}: bodies not exact", sum(1 for _ in not_exact(spans, body)), "", at_most=0)
    assert report.per_second > 0.95 * rate, "the load was not held"
    assert missing.holds
    assert wrong.holds
    assert told == Counter(dict.fromkeys(wanted, 1))
    assert all(span.attributes["qtap.capture.complete"] for span in spans)


def not_exact(spans: Iterable[Span], body: bytes) -> Iterator[Span]:
    """Spans whose digest or whose stored response is not of this body; reads every stored record."""
    digest, ending = sha256(body), body + b"\r\n\r\n"
    segments: dict[Path, bytes] = {}
    for span in spans:
        where = parse_reference(span.body_reference("response"))
        if where.path not in segments:
            segments[where.path] = where.path.read_bytes()
        record = gzip.decompress(segments[where.path][where.first : where.last + 1])
        if span.attributes["qtap.payload.sha256"] != digest or not record.endswith(b"\r\n\r\n" + ending):
            yield span


def test_above_capacity_reported_and_counted_is_all_that_was_sent(
    tmp_path: Path, nginx: Nginx, collector: Collector, figures: Figures, load_seconds: float
) -> None:
    size = 16 << 10
    nginx.add_sized(size)
    (worker,) = procfs.descendants(nginx.pid)
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
        "OTEL_QTAP_CAPTURE_INCLUDE": f"pid={worker}",
    }
    with running_agent(tmp_path / "agent", settings) as agent:
        load = start_load(
            nginx.port, tmp_path / "sent", path=f"/sized/{size}", seconds=load_seconds, connections=32
        )
        report = load.finish()
        eventually(lambda: settled(agent), "nothing more comes", seconds=60, pause=0.5)
        captured = agent.metric("qtap_stream_io_bytes_total")
        lost = agent.metric("qtap_capture_lost_io_bytes_total")
        agent.stop()
    spans = collector.telemetry().on_port(nginx.port, "server")
    whole = [span for span in spans if span.attributes["qtap.capture.complete"]]
    figures.report("above capacity: exchanges sent", report.sent, "", note=f"{report.per_second:.0f}/s")
    figures.report("above capacity: spans, whole", len(whole), "")
    figures.report("above capacity: spans, stated as incomplete", len(spans) - len(whole), "")
    figures.report("above capacity: plaintext sent", report.bytes / 1e6, "MB")
    figures.report("above capacity: plaintext captured", captured / 1e6, "MB")
    figures.report("above capacity: plaintext counted as lost", lost / 1e6, "MB")
    assert lost > 0, "the load was not above capacity: nothing is tested"
    assert captured + lost == report.bytes
    digest = sha256(nginx.add_sized(size))
    assert {span.attributes["qtap.payload.sha256"] for span in whole} <= {digest}


def settled(agent: AgentProcess) -> bool:
    """Whether nothing more comes from the kernel."""
    before = agent.metric("qtap_stream_io_bytes_total")
    time.sleep(1)
    return agent.metric("qtap_stream_io_bytes_total") == before
