# SPDX-License-Identifier: Apache-2.0
"""/livez, /readyz, /metrics and /coverage, served by the pipeline on a socket that the supervisor bound.

Reading only; nothing here tells a byte of payload.
"""

import json
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from threading import BoundedSemaphore, Thread
from typing import Any

from otel_qtap import __version__
from otel_qtap.conditions import State

logger = logging.getLogger(__name__)

MAX_REQUESTS = 32
"""Answered at a time; more are turned away, or anybody on this host could have threads without end."""


Conditions = Mapping[str, State]


def as_json(name: str, conditions: Conditions) -> dict[str, Any]:
    """``{name: whether all are well, "conditions": {...}}``, each condition with since when, and why not."""
    return {
        name: all(state.well for state in conditions.values()),
        "conditions": dict(_described(name, conditions)),
    }


def _described(name: str, conditions: Conditions) -> Iterator[tuple[str, dict[str, Any]]]:
    for condition, state in conditions.items():
        since = datetime.fromtimestamp(state.since, UTC).isoformat(timespec="milliseconds")
        described = {name: state.well, "since": f"{since[:-6]}Z"}
        yield condition, described if state.well else {**described, "reason": state.reason}


class HealthServer:
    """Answers on ``listener`` in a thread of its own.

    ``ready`` and ``alive`` give each condition by name. ``metrics`` renders the page for an ``Accept``
    field: content type and text. ``coverage`` gives what is known of processes that speak TLS, for JSON.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        ready: Callable[[], Conditions],
        alive: Callable[[], Conditions],
        metrics: Callable[[str], tuple[str, str]],
        coverage: Callable[[], dict[str, Any]],
    ) -> None:
        # The supervisor binds the address and serves nothing: it does without these megabytes.
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415

        class Handler(BaseHTTPRequestHandler):
            server_version = f"otel-qtap/{__version__}"
            sys_version = ""
            timeout = 5

            def do_GET(self) -> None:
                match self.path.partition("?")[0]:
                    case "/livez":
                        self._tell("alive", alive())
                    case "/readyz":
                        self._tell("ready", ready())
                    case "/metrics":
                        self._answer(HTTPStatus.OK, *metrics(self.headers.get("Accept", "")))
                    case "/coverage":
                        text = json.dumps(coverage(), indent=2) + "\n"
                        self._answer(HTTPStatus.OK, "application/json", text)
                    case _:
                        text = "try /livez, /readyz, /metrics or /coverage\n"
                        self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", text)

            do_HEAD = do_GET  # noqa: N815 - so the base class calls it

            def _tell(self, name: str, conditions: Conditions) -> None:
                described = as_json(name, conditions)
                status = HTTPStatus.OK if described[name] else HTTPStatus.SERVICE_UNAVAILABLE
                self._answer(status, "application/json", json.dumps(described, indent=2) + "\n")

            def _answer(self, status: HTTPStatus, content_type: str, body: str) -> None:
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Vary", "Accept")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Probes come every few seconds: they are not worth a line."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            places = BoundedSemaphore(MAX_REQUESTS)

            def process_request(self, request: Any, client_address: Any) -> None:
                if self.places.acquire(blocking=False):
                    super().process_request(request, client_address)
                else:
                    self.shutdown_request(request)

            def process_request_thread(self, request: Any, client_address: Any) -> None:
                try:
                    super().process_request_thread(request, client_address)
                finally:
                    self.places.release()

            def handle_error(self, request: Any, client_address: Any) -> None:
                """In place of a traceback on standard error: the client left, as a rule."""
                logger.debug("a request for health was not answered", exc_info=True)

        self._server = Server(("", 0), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._thread = Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
