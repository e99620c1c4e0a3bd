# SPDX-License-Identifier: Apache-2.0
import io
import time

import pytest

from otel_qtap.errors import ExportError
from otel_qtap.telemetry.limits import BatchLimits
from otel_qtap.telemetry.otlp.requests import Group, Signal
from otel_qtap.telemetry.otlp.sender import Backoff
from otel_qtap.telemetry.otlp.spool import MemorySpool
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.otlp.transport_console import ConsoleTransport
from otel_qtap.telemetry.otlp.transport_grpc import GrpcTransport
from otel_qtap.telemetry.otlp.transport_http import HttpTransport
from otel_qtap.telemetry.otlp.wire import delimited
from otel_qtap.telemetry.signal_pipeline import (
    Outlet,
    SignalOutput,
    SignalPipeline,
    open_transport,
    shortest_timeout,
)

GROUP = Group(b"", b"", "")
ITEM = delimited(b"\x12", b"")


def pipeline_to(endpoint, *, spool=None, **limits):
    batch = BatchLimits(**({"schedule_delay_ms": 3_600_000} | limits))
    output = SignalOutput(target=OtlpTarget(protocol="http/protobuf", endpoint=endpoint), batch=batch)
    outlet = Outlet(
        signal=Signal.TRACES,
        output=output,
        spool=spool or MemorySpool(),
        stream=io.StringIO(),
        backoff=Backoff(initial_seconds=0.01, maximum_seconds=0.05),
        observe_attempt=lambda *_: None,
    )
    return SignalPipeline(signal=Signal.TRACES, limits=batch, outlet=outlet, on_schedule=lambda: None)


def soon(seconds=10.0):
    return time.monotonic() + seconds


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [("http/protobuf", HttpTransport), ("http/json", HttpTransport), ("grpc", GrpcTransport)],
)
def test_protocol_decides_about_the_transport(protocol, kind):
    target = OtlpTarget(protocol=protocol, endpoint="http://127.0.0.1:1/v1/traces")
    transport = open_transport(SignalOutput(target=target), Signal.TRACES, io.StringIO())
    assert isinstance(transport, kind)
    transport.close()


def test_console_needs_no_target():
    output = SignalOutput(exporter="console")
    assert isinstance(open_transport(output, Signal.TRACES, io.StringIO()), ConsoleTransport)


def test_otlp_without_a_target_is_refused():
    with pytest.raises(ExportError, match="endpoint"):
        open_transport(SignalOutput(), Signal.LOGS, io.StringIO())


def test_flush_delivers_what_is_queued(collector):
    pipeline = pipeline_to(collector.url("/v1/traces"))
    pipeline.start()
    pipeline.append(GROUP, ITEM)
    assert pipeline.flush(soon())
    assert len(collector.spans()) == 1
    assert pipeline.is_running
    assert pipeline.shutdown(soon())
    assert not pipeline.is_running


def test_every_item_is_counted_once(collector):
    collector.answers = [(400, {}, b"")]
    pipeline = pipeline_to(collector.url("/v1/traces"), max_queue_size=3, max_export_batch_size=2)
    for _ in range(5):
        pipeline.append(GROUP, ITEM)
    pipeline.start()
    assert pipeline.shutdown(soon())
    statistics = pipeline.statistics()
    assert (statistics.queued, statistics.exported) == (3, 1)
    assert dict(statistics.dropped) == {"queue_full": 2, "400": 2}
    assert pipeline.settled == 5


def test_shutdown_without_a_collector_ends_at_its_deadline(collector_factory):
    collector = collector_factory()
    collector.close()
    pipeline = pipeline_to(collector.url("/v1/traces"))
    pipeline.start()
    pipeline.append(GROUP, ITEM)
    assert not pipeline.shutdown(soon(0.3))
    statistics = pipeline.statistics()
    assert dict(statistics.dropped) == {"shutdown": 1}
    assert pipeline.settled == 1
    assert not statistics.healthy
    assert statistics.last_error == "connection_error"


def test_shortest_timeout_of_those_that_limit():
    assert shortest_timeout(10, 30) == 10
    assert shortest_timeout(0, 30) == 30
    assert shortest_timeout(0, 0) is None
