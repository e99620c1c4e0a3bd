# SPDX-License-Identifier: Apache-2.0
"""Connections: as many at a time as are answered, each with one small request and a deadline.

Python's own HTTP server, with what it leaves open closed: it waits for slow clients one by one, so here
a request has to be complete and an answer taken within a time, however slowly bytes drip.
"""

import logging
import socket
import ssl
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from otel_qtap.errors import SettingsError
from otel_qtap.viewer import pages, requests, responses
from otel_qtap.viewer.application import Application
from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.requests import Request
from otel_qtap.viewer.responses import Response

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 32
ASK_SECONDS = 10.0
"""Within which a request must be there, handshake included."""
ANSWER_SECONDS = 300.0
"""Within which its answer must have been taken."""
LARGEST_FORM = 16 << 10


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For servers, TLS 1.2 and later. Raises SettingsError when the files do not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            "OTEL_QTAP_SERVE_TLS_CERTIFICATE and OTEL_QTAP_SERVE_TLS_KEY: no certificate with its key could "
            f"be loaded ({error.strerror or type(error).__name__}). Name PEM files that belong together."
        ) from error
    return context


class ViewerServer:
    """Answers on ``listener`` until ``close``."""

    def __init__(
        self,
        listener: socket.socket,
        application: Application,
        tls: ssl.SSLContext | None = None,
        *,
        ask_seconds: float = ASK_SECONDS,
    ) -> None:
        self._server = _Server(listener, application.answer, tls, ask_seconds)

    def serve(self) -> None:
        """Answer until another thread calls ``close``."""
        self._server.serve_forever(poll_interval=0.25)

    def close(self) -> None:
        """Stop ``serve`` and let the address go. Answers under way are cut."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        listener: socket.socket,
        answer: Callable[[Request], Response],
        tls: ssl.SSLContext | None,
        ask_seconds: float,
    ) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.answer = answer
        self._tls = tls
        self._ask_seconds = ask_seconds
        self._places = BoundedSemaphore(MOST_CONNECTIONS)
        self._lock = Lock()
        self._deadlines: dict[socket.socket, float] = {}

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self._tls:  # the handshake waits for the client, so it is the handler thread's
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self.allow(request, self._ask_seconds)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._deadlines.pop(request, None)
            self._places.release()

    def allow(self, request: socket.socket, seconds: float) -> None:
        """Give a connection this much more time from now."""
        with self._lock:
            self._deadlines[request] = monotonic() + seconds

    def service_actions(self) -> None:
        """End the connections whose time is up; called by ``serve_forever`` between requests."""
        now = monotonic()
        with self._lock:
            late = [connection for connection, deadline in self._deadlines.items() if deadline < now]
            for connection in late:
                del self._deadlines[connection]
                try:
                    # Below TLS: a farewell to a client that does not read would wait for it.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
                except OSError:
                    logger.debug("a connection was gone before its time was up")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """In place of a traceback on standard error: the client left, as a rule."""
        logger.debug("a connection was not answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = ASK_SECONDS
    server_version = "otel-qtap"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _answer(self) -> None:
        try:
            request = self._request()
        except ProblemError as problem:
            self._send(responses.text(pages.problem_text(problem), problem.status, problem.headers))
            return
        self.server.allow(self.connection, ANSWER_SECONDS)
        self.connection.settimeout(ANSWER_SECONDS)
        self._send(self.server.answer(request))

    def _request(self) -> Request:
        try:
            target = urlsplit(self.path)
        except ValueError:  # its text quotes the target
            raise requests.malformed("The request's target is no path.") from None
        return Request(
            method=self.command,
            path=target.path,
            query=requests.fields(target.query),
            form=requests.fields(self._form()) if self.command == "POST" else {},
            headers={
                name.lower(): tuple(self.headers.get_all(name, ())) for name in set(self.headers.keys())
            },
            peer=self.client_address[0],
            encrypted=isinstance(self.connection, ssl.SSLSocket),
        )

    def _form(self) -> str:
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal() and len(length) < 8 and int(length) <= LARGEST_FORM):
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "This form is too large",
                f"The viewer reads {LARGEST_FORM} bytes at most.",
                "Send a token and a reference only.",
            )
        return self.rfile.read(int(length)).decode("latin-1")

    def _send(self, response: Response) -> None:
        self.request_version = self.protocol_version  # or clients that name none would get no header
        self.send_response(response.status)
        for name, value in response.all_headers():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses: requests that are no HTTP, and other methods."""
        status = HTTPStatus(code)
        self.command = getattr(self, "command", None) or ""
        self._send(responses.text(f"{status.phrase}\n", status))

    def log_message(self, format: str, *args: object) -> None:
        """The application logs what matters."""
