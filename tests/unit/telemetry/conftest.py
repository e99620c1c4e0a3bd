# SPDX-License-Identifier: Apache-2.0
"""A real HTTP collector on loopback, and records as the chain makes them."""

import gzip
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_qtap.model.exchange import SpanKind
from otel_qtap.model.identity import (
    ConnectionContext,
    ConnectionId,
    Endpoint,
    PeerSource,
    ProcessFacts,
    ProcessId,
    Role,
)
from otel_qtap.model.record import ObjectRef, Record
from otel_qtap.model.trace import SpanIdentity, SpanTarget

REQUESTS: dict[str, type[Message]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


class Collector:
    """Answers POSTs with what ``answers`` holds (status, headers, body), then with 200, and keeps them."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.peers: set[tuple[str, int]] = set()
        self.decide: Callable[[bytes], tuple[int, dict[str, str], bytes]] | None = None
        self._arrived = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                collector.peers.add(self.client_address)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                status, headers, answer = collector.answer(self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "http" if tls is None else "https"
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        with self._arrived:
            self.received.append((path, headers, body))
            self._arrived.notify_all()
            if self.decide is not None:
                return self.decide(body)
            return self.answers.pop(0) if self.answers else (200, {}, b"")

    def wait_for(self, count: int, timeout: float = 10) -> list[tuple[str, dict[str, str], bytes]]:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received) >= count, timeout)
            return list(self.received)

    def requests(self, path: str) -> list[Any]:
        return [REQUESTS[path].FromString(body) for at, _, body in self.received if at == path]

    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests("/v1/traces")
            for entry in request.resource_spans
            for scope in entry.scope_spans
            for span in scope.spans
        ]

    def log_records(self) -> list[Any]:
        return [
            record
            for request in self.requests("/v1/logs")
            for entry in request.resource_logs
            for scope in entry.scope_logs
            for record in scope.log_records
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector_factory() -> Iterator[Callable[..., Collector]]:
    opened: list[Collector] = []

    def open_one(**options: Any) -> Collector:
        opened.append(Collector(**options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def collector(collector_factory: Callable[..., Collector]) -> Collector:
    return collector_factory()


def _object_ref(part: str = "response", **changes: Any) -> ObjectRef:
    values: dict[str, Any] = {
        "uri": f"s3://bucket/prefix/service.name=orders/{part}.warc.gz#bytes=1000-1900",
        "offset": 1000,
        "length": 901,
        "sha256": "ab" * 32,
        "size": 2048,
        "captured_size": 1024,
        "content_type": "application/json",
        "encoding": "gzip",
        "truncated": "",
        "redacted": False,
    }
    return ObjectRef(**(values | changes))


def _connection(**changes: Any) -> ConnectionContext:
    process = ProcessId(1234, 55)
    values: dict[str, Any] = {
        "id": ConnectionId(1234, 55, 0x7FFF0010, 1),
        "role": Role.CLIENT,
        "local": Endpoint("10.0.0.1", 41234),
        "remote": Endpoint("10.0.0.2", 443),
        "peer_source": PeerSource.NESTED_SYSCALL,
        "handshake_seen": True,
        "facts": ProcessFacts(
            process=process,
            command="python3",
            executable="/usr/bin/python3.11",
            command_line=("python3", "--password=hunter2"),
            user_id=1000,
            user_name="app",
            service_name="orders",
        ),
    }
    return ConnectionContext(**(values | changes))


def _record(**changes: Any) -> Record:
    values: dict[str, Any] = {
        "identity": SpanIdentity(trace_id=os.urandom(16), span_id=os.urandom(8)),
        "connection": _connection(),
        "protocol": "http",
        "protocol_version": "1.1",
        "kind": SpanKind.CLIENT,
        "name": "GET",
        "start_ns": 5_000_000_000,
        "end_ns": 5_001_000_000,
        "attributes": {"http.request.method": "GET", "http.response.status_code": 200},
        "error_type": "",
        "is_error": False,
        "incomplete": (),
        "findings": (),
    }
    return Record(**(values | changes))


@pytest.fixture
def object_ref() -> Callable[..., ObjectRef]:
    return _object_ref


@pytest.fixture
def connection() -> Callable[..., ConnectionContext]:
    return _connection


@pytest.fixture
def record() -> Callable[..., Record]:
    """Makes a record; keyword arguments replace its fields."""
    return _record


@pytest.fixture
def upload() -> SpanTarget:
    return SpanTarget(trace_id=b"\x07" * 16, span_id=b"\x08" * 8)
