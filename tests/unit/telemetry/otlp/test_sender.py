# SPDX-License-Identifier: Apache-2.0
"""The sender against real collectors: outages, quotas, partial success, requests that are too large."""

import logging
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_qtap.telemetry.otlp.requests import Group, Signal, export_request, instrumentation_scope
from otel_qtap.telemetry.otlp.sender import Backoff, Sender
from otel_qtap.telemetry.otlp.spool import MemorySpool
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.otlp.transport_http import HttpTransport
from otel_qtap.telemetry.otlp.wire import delimited

FAST = Backoff(initial_seconds=0.01, maximum_seconds=0.05)
GROUP = Group(b"", instrumentation_scope("scope", "1"), "")


def request(*names):
    return export_request((GROUP, delimited(b"\x12", delimited(b"\x2a", name.encode()))) for name in names)


@pytest.fixture
def spool():
    return MemorySpool()


@pytest.fixture
def sender_to(spool):
    senders = []

    def start(endpoint, **options):
        target = OtlpTarget(
            protocol="http/protobuf", endpoint=endpoint, headers=(("authorization", "secret-token"),)
        )
        sender = Sender(
            signal=Signal.TRACES,
            spool=spool,
            transport=HttpTransport(target, Signal.TRACES),
            destination=target.display_name,
            **({"timeout_seconds": 5.0, "backoff": FAST} | options),
        )
        sender.start()
        senders.append(sender)
        return sender

    yield start
    for sender in senders:
        sender.stop(10)


def names_in(collector):
    return [
        span.name
        for _, _, body in collector.received
        for entry in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in entry.scope_spans
        for span in scope.spans
    ]


def test_requests_are_delivered_in_order_and_counted(collector, spool, sender_to):
    sender = sender_to(collector.url("/v1/traces"))
    for number in range(5):
        spool.put(request(f"{number}a", f"{number}b"))
    assert spool.wait_empty(10)
    assert names_in(collector) == [f"{number}{half}" for number in range(5) for half in "ab"]
    statistics = sender.statistics()
    assert (statistics.exported, statistics.waiting, statistics.healthy) == (10, 0, True)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retryable_answer_is_retried_until_it_is_taken(collector, spool, sender_to, status):
    collector.answers = [(status, {}, b"")] * 3
    sender = sender_to(collector.url("/v1/traces"))
    spool.put(request("one"))
    assert spool.wait_empty(10)
    assert names_in(collector) == ["one"] * 4
    statistics = sender.statistics()
    assert (statistics.exported, statistics.retries, statistics.dropped) == (1, 3, {})


def test_outage_loses_nothing_and_is_logged_once(collector_factory, spool, sender_to, caplog, free_port):
    caplog.set_level(logging.INFO, "otel_qtap.telemetry")
    sender = sender_to(f"http://127.0.0.1:{free_port}/v1/traces")
    for number in range(3):
        spool.put(request(str(number)))
    while sender.statistics().retries < 3:
        time.sleep(0.005)
    assert not sender.statistics().healthy
    assert sender.statistics().last_error == "connection_error"

    collector = collector_factory(port=free_port)

    assert spool.wait_empty(10)
    assert names_in(collector) == ["0", "1", "2"]
    assert sender.statistics().healthy
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "does not take requests (connection_error)" in messages[0]
    assert "takes requests again" in messages[1]
    assert "secret" not in caplog.text


def test_retry_after_is_honoured(collector, spool, sender_to):
    collector.answers = [(429, {"Retry-After": "1"}, b"")]
    sender_to(collector.url("/v1/traces"))
    spool.put(request("one"))
    collector.wait_for(1)
    began = time.monotonic()
    assert spool.wait_empty(10)
    assert time.monotonic() - began >= 0.9
    assert len(collector.received) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_refused_request_is_dropped_counted_and_not_repeated(collector, spool, sender_to, caplog, status):
    collector.answers = [(status, {}, b"secret-token")] * 2
    sender = sender_to(collector.url("/v1/traces"))
    spool.put(request("bad", "worse"))
    spool.put(request("as bad"))
    spool.put(request("good"))
    assert spool.wait_empty(10)
    assert names_in(collector) == ["bad", "worse", "as bad", "good"]
    statistics = sender.statistics()
    assert (statistics.exported, dict(statistics.dropped)) == (1, {str(status): 3})
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert "secret-token" not in caplog.text


def test_request_that_is_too_large_is_split(collector, spool, sender_to):
    limit = len(request("a", "b").body)
    collector.decide = lambda body: (413 if len(body) > limit else 200, {}, b"")
    sender = sender_to(collector.url("/v1/traces"))
    spool.put(request(*"abcde"))
    assert spool.wait_empty(10)
    taken = [
        span.name
        for _, _, body in collector.received
        if len(body) <= limit
        for span in ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    ]
    assert taken == list("abcde")
    assert (sender.statistics().exported, dict(sender.statistics().dropped)) == (5, {})


def test_single_item_that_is_too_large_is_dropped(collector, spool, sender_to):
    collector.decide = lambda body: (413 if b"large" in body else 200, {}, b"")
    sender = sender_to(collector.url("/v1/traces"))
    spool.put(request("small", "large", "small"))
    assert spool.wait_empty(10)
    assert (sender.statistics().exported, dict(sender.statistics().dropped)) == (2, {"413": 1})


def test_partial_success_is_counted_logged_and_not_retried(collector, spool, sender_to, caplog):
    answer = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=2, error_message="too old\n\x1b[1m")
    ).SerializeToString()
    collector.answers = [(200, {}, answer)] * 2
    sender = sender_to(collector.url("/v1/traces"))
    spool.put(request("a", "b", "c"))
    spool.put(request("d", "e", "f"))
    assert spool.wait_empty(10)
    assert len(collector.received) == 2
    assert (sender.statistics().exported, sender.statistics().rejected) == (2, 4)
    [line] = [record.getMessage() for record in caplog.records]
    assert "rejected 2 items: 'too old\\n\\x1b[1m'" in line
    assert "\x1b" not in line


def test_stop_during_an_outage_is_quick_and_leaves_the_request(spool, sender_to, free_port):
    slow = Backoff(initial_seconds=60, maximum_seconds=60)
    sender = sender_to(f"http://127.0.0.1:{free_port}/v1/traces", backoff=slow)
    spool.put(request("one", "two"))
    while sender.statistics().retries < 1:
        time.sleep(0.005)
    sender.stop(10)
    assert not sender.is_running
    assert sender.statistics().waiting == 2


def test_overflow_of_the_spool_is_counted(free_port):
    spool = MemorySpool(max_bytes=1)
    target = OtlpTarget(protocol="http/protobuf", endpoint=f"http://127.0.0.1:{free_port}/v1/traces")
    sender = Sender(
        signal=Signal.TRACES,
        spool=spool,
        transport=HttpTransport(target, Signal.TRACES),
        destination=target.display_name,
        timeout_seconds=1,
    )
    for names in ("ab", "c", "d"):
        spool.put(request(*names))
    statistics = sender.statistics()
    assert dict(statistics.dropped) == {"spool_full": 3}
    assert statistics.waiting == 1


def test_every_attempt_is_observed(collector, spool, sender_to):
    collector.answers = [(503, {}, b"")]
    seen = []
    sender_to(collector.url("/v1/traces"), observe_attempt=lambda *attempt: seen.append(attempt))
    spool.put(request("one"))
    assert spool.wait_empty(10)
    assert [error for _, error in seen] == ["503", ""]
    assert all(seconds > 0 for seconds, _ in seen)


def test_backoff_doubles_with_jitter_up_to_its_maximum():
    backoff = Backoff(initial_seconds=1, maximum_seconds=10)
    for failures, limit in ((1, 1), (2, 2), (4, 8), (5, 10), (1000, 10)):
        waits = {backoff.wait_seconds(failures) for _ in range(50)}
        assert all(limit / 2 <= wait <= limit for wait in waits)
        assert len(waits) > 1
