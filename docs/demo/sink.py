# SPDX-License-Identifier: Apache-2.0
"""The demo's collector: takes OTLP as JSON over HTTP on loopback and keeps the spans."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Span = dict[str, Any]
"""One span as OTLP/JSON has it, with ``service`` and ``attributes`` as plain values."""


@dataclass(frozen=True)
class Sink:
    """Where to export to, and what arrived."""

    endpoint: str
    spans: list[Span]


@contextmanager
def running_sink() -> Iterator[Sink]:
    """Serve on a free loopback port."""
    spans: list[Span] = []

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            spans.extend(_spans(json.loads(body)))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Sink(f"http://127.0.0.1:{server.server_address[1]}", spans)
    finally:
        server.shutdown()
        server.server_close()


def _spans(request: dict[str, Any]) -> Iterator[Span]:
    for resource_spans in request.get("resourceSpans", ()):
        resource = _values(resource_spans.get("resource", {}).get("attributes", ()))
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                yield {
                    **span,
                    "service": resource.get("service.name", ""),
                    "attributes": _values(span.get("attributes", ())),
                }


def _values(attributes: Any) -> dict[str, Any]:
    return {item["key"]: next(iter(item["value"].values()), None) for item in attributes}
