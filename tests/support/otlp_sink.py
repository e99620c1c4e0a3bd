# SPDX-License-Identifier: Apache-2.0
"""A tiny OTLP/HTTP receiver that keeps the raw bytes, and that can be told to refuse."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.otlp_records import Telemetry, otlp_json

_MESSAGES: dict[str, type[Message]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


@dataclass(frozen=True, slots=True)
class SinkRequest:
    """One request: ``wire`` as sent, ``body`` with its content coding removed."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    wire: bytes
    body: bytes
    answered: int

    @property
    def is_json(self) -> bool:
        """Whether it is OTLP/JSON."""
        return self.headers.get("content-type", "").startswith("application/json")


@dataclass(slots=True)
class OtlpSink:
    """A receiver at ``endpoint``; answers 200 unless :meth:`answer_with` said otherwise."""

    endpoint: str
    requests: list[SinkRequest] = field(default_factory=list)
    _status: int = 200
    _headers: dict[str, str] = field(default_factory=dict)

    def answer_with(self, status: int, headers: dict[str, str] | None = None) -> None:
        """Answer requests from now on with this status and these header fields."""
        self._status, self._headers = status, headers or {}

    def telemetry(self) -> Telemetry:
        """What was accepted (answered with 200)."""
        telemetry = Telemetry()
        for request in list(self.requests):
            if request.answered != 200:
                continue
            if request.is_json:
                telemetry.add(json.loads(request.body))
            else:
                telemetry.add(otlp_json(_MESSAGES[request.path].FromString(request.body)))
        return telemetry

    def receive(self, path: str, headers: dict[str, str], wire: bytes) -> tuple[int, dict[str, str]]:
        """Keep one request and say what to answer; a path that is none of OTLP's gets 404."""
        body = gzip.decompress(wire) if headers.get("content-encoding") == "gzip" else wire
        status = self._status if path in _MESSAGES else 404
        self.requests.append(SinkRequest(path, headers, wire, body, status))
        return status, self._headers


@contextmanager
def running_sink() -> Iterator[OtlpSink]:
    """Serve OTLP/HTTP on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            wire = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, extra = sink.receive(self.path, headers, wire)
            as_json = headers.get("content-type", "").startswith("application/json")
            answer = b"{}" if as_json and status == 200 else b""
            self.send_response(status)
            self.send_header("content-type", headers.get("content-type", "application/x-protobuf"))
            self.send_header("content-length", str(len(answer)))
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sink = OtlpSink(endpoint=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
