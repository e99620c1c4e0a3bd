# SPDX-License-Identifier: Apache-2.0
"""/livez, /readyz and /metrics, served by the pipeline on a socket that the supervisor bound.

Reading only; nothing here tells a byte of payload.
"""

import json
import logging
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from threading import BoundedSemaphore, Thread
from typing import Any

from otel_qtap import __version__
from otel_qtap.errors import SettingsError

logger = logging.getLogger(__name__)

MAX_REQUESTS = 32
"""Answered at a time; more are turned away, or anybody on this host could have threads without end."""
METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def listen(host: str, port: int) -> socket.socket:
    """Bind the health address. Raises SettingsError when it is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"OTEL_QTAP_HEALTH_ADDRESS={host}:{port}: cannot listen there: {error.strerror}. "
            "Name a free HOST:PORT of this machine."
        ) from error
    return listener


class HealthServer:
    """Answers on ``listener`` in a thread of its own.

    ``readiness`` gives each condition by name; all true means ready. ``metrics`` renders OpenMetrics text.
    """

    def __init__(
        self,
        listener: socket.socket,
        readiness: Callable[[], Mapping[str, bool]],
        metrics: Callable[[], str],
    ) -> None:
        # The supervisor binds the address and serves nothing: it does without these megabytes.
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415

        class Handler(BaseHTTPRequestHandler):
            server_version = f"otel-qtap/{__version__}"
            sys_version = ""
            timeout = 5

            def do_GET(self) -> None:
                match self.path:
                    case "/livez":
                        self._answer(HTTPStatus.OK, "text/plain; charset=utf-8", "alive\n")
                    case "/readyz":
                        conditions = readiness()
                        ready = all(conditions.values())
                        body = json.dumps({"ready": ready, **conditions}) + "\n"
                        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
                        self._answer(status, "application/json", body)
                    case "/metrics":
                        self._answer(HTTPStatus.OK, METRICS_TYPE, metrics())
                    case _:
                        text = "try /livez, /readyz or /metrics\n"
                        self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", text)

            def _answer(self, status: HTTPStatus, content_type: str, body: str) -> None:
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
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
