# SPDX-License-Identifier: Apache-2.0
"""Cost of a span: encoding, batching and gzip, beside the SDK's own encoder in the same run."""

import os
import subprocess
import sys
import time

import pytest
from isal import isal_zlib
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, TraceFlags
from opentelemetry.trace import SpanKind as SdkKind
from pytest_benchmark.fixture import BenchmarkFixture

from otel_qtap.model.exchange import Attributes, SpanKind
from otel_qtap.model.identity import ConnectionContext, ConnectionId, PeerSource, ProcessFacts, ProcessId
from otel_qtap.model.record import ObjectRef, Record
from otel_qtap.model.trace import SpanIdentity, SpanTarget
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.limits import SpanLimits
from otel_qtap.telemetry.otlp.requests import export_request
from otel_qtap.telemetry.resource import HostIdentity
from otel_qtap.telemetry.spans import SpanEncoder
from otel_qtap.telemetry.workloads import Workloads

pytestmark = pytest.mark.bench

SPANS = 512
MICROSECONDS_PER_SPAN = 12.0
SDK_RATIO = 3.0

CONTEXT = ConnectionContext(
    id=ConnectionId(1234, 55, 0x7FFF0010, 1),
    peer_source=PeerSource.HELLO_RANDOM,
    handshake_seen=True,
    facts=ProcessFacts(
        process=ProcessId(1234, 55),
        executable="/usr/bin/python3.11",
        user_id=1000,
        user_name="app",
        service_name="orders",
    ),
)


def attributes(number: int) -> Attributes:
    """What HTTP adds to a client span; URL and response size differ from span to span."""
    return {
        "http.request.method": "POST",
        "url.full": f"https://api.example.com/v1/orders/{number}?expand=REDACTED",
        "server.address": "api.example.com",
        "server.port": 443,
        "http.response.status_code": 200,
        "network.transport": "tcp",
        "network.protocol.version": "1.1",
        "network.peer.address": "10.1.2.3",
        "network.peer.port": 443,
        "user_agent.original": "python-requests/2.31",
        "http.request.body.size": 256,
        "http.response.body.size": 1024 + number % 700,
    }


def reference(part: str, number: int) -> ObjectRef:
    """A stored message of some 1 KiB."""
    return ObjectRef(
        uri=f"s3://bucket/prefix/service.name=orders/date=2026-11-23/hour=12/0001.warc.gz"
        f"#bytes={number * 1800}-{number * 1800 + 900}",
        offset=number * 1800,
        length=901,
        sha256=os.urandom(32).hex(),
        size=1024,
        captured_size=1024,
        content_type="application/json",
        encoding="gzip" if part == "response" else "",
        truncated="",
        redacted=False,
    )


def records(*, payloads: bool) -> list[Record]:
    """Exchanges of one connection."""
    upload = SpanTarget(trace_id=os.urandom(16), span_id=os.urandom(8))
    return [
        Record(
            identity=SpanIdentity(
                trace_id=os.urandom(16),
                span_id=os.urandom(8),
                parent_span_id=os.urandom(8),
                parent_is_remote=True,
            ),
            connection=CONTEXT,
            protocol="http",
            protocol_version="1.1",
            kind=SpanKind.CLIENT,
            name="POST",
            start_ns=1_000_000 + number,
            end_ns=2_000_000 + number,
            attributes=attributes(number),
            error_type="",
            is_error=False,
            incomplete=(),
            findings=(),
            request_ref=reference("request", number) if payloads else None,
            response_ref=reference("response", number) if payloads else None,
            upload=upload if payloads else None,
        )
        for number in range(SPANS)
    ]


def span_encoder() -> SpanEncoder:
    """A fresh encoder, nothing remembered."""
    return SpanEncoder(limits=SpanLimits(), workloads=Workloads(HostIdentity(name="h")), clock=UnixClock())


@pytest.mark.parametrize("payloads", [False, True], ids=["metadata only", "payloads"])
def test_encode_512_spans(payloads: bool, benchmark: BenchmarkFixture) -> None:
    spans, encoder = records(payloads=payloads), span_encoder()
    encoded = benchmark(lambda: [encoder.encode(span) for span in spans])
    benchmark.extra_info["bytes per span"] = sum(len(message) for _, message in encoded) // SPANS
    assert benchmark.stats.stats.min / SPANS * 1e6 <= MICROSECONDS_PER_SPAN


@pytest.mark.parametrize("payloads", [False, True], ids=["metadata only", "payloads"])
def test_join_and_compress_512_spans(payloads: bool, benchmark: BenchmarkFixture) -> None:
    encoder = span_encoder()
    items = [encoder.encode(span) for span in records(payloads=payloads)]
    body = benchmark(lambda: isal_zlib.compress(export_request(items).body, 1, 31))
    benchmark.extra_info["ratio"] = round(len(export_request(items).body) / len(body), 1)


def test_several_times_faster_than_the_sdk_encoder() -> None:
    scope, owner = InstrumentationScope("otel_qtap.http", "1"), Resource({"service.name": "orders"})
    ours, encoder = records(payloads=True), span_encoder()

    def through_the_sdk(record: Record) -> ReadableSpan:
        reference = record.response_ref
        assert reference is not None
        told = {
            **record.attributes,
            **{f"qtap.{number}": 1 for number in range(10)},
            "qtap.payload.uri": reference.uri,
        }
        context = SpanContext(1, 2, False, TraceFlags(1))
        return ReadableSpan(
            name=record.name,
            context=context,
            parent=SpanContext(1, 3, True),
            resource=owner,
            attributes=told,
            links=(Link(context, {"qtap.payload.uri": reference.uri, "qtap.payload.offset": 1}),),
            kind=SdkKind.CLIENT,
            start_time=1,
            end_time=2,
            instrumentation_scope=scope,
        )

    def seconds(run: object) -> float:
        assert callable(run)
        best = float("inf")
        for _ in range(5):
            began = time.process_time()
            run()
            best = min(best, time.process_time() - began)
        return best

    own = seconds(lambda: export_request(encoder.encode(record) for record in ours))
    theirs = seconds(lambda: encode_spans([through_the_sdk(record) for record in ours]).SerializeToString())
    print(f"a span with payload: {own / SPANS * 1e6:.1f} us, by the SDK {theirs / SPANS * 1e6:.1f} us")
    assert theirs / own >= SDK_RATIO


@pytest.mark.parametrize("metrics", ["none", "otlp"])
def test_import_time_and_memory(metrics: str) -> None:
    program = f"""
import re, time
def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
base = resident()
began = time.perf_counter()
from otel_qtap.telemetry.exporting import Telemetry
from otel_qtap.telemetry.resource import AgentIdentity, HostIdentity
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.signal_pipeline import MetricsOutput, SignalOutput
target = OtlpTarget(protocol="http/protobuf", endpoint="http://127.0.0.1:1/v1/traces")
output = SignalOutput(target=target)
Telemetry(traces=output, logs=output, metrics=MetricsOutput(exporter="{metrics}", target=target),
          agent=AgentIdentity(), host=HostIdentity())
print((time.perf_counter() - began) * 1e3, resident() - base)
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    milliseconds, mebibytes = map(float, shown.stdout.split())
    print(f"metrics {metrics}: {milliseconds:.0f} ms, {mebibytes:.1f} MiB")
    assert 0 < mebibytes < 40
