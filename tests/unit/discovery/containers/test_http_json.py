# SPDX-License-Identifier: Apache-2.0
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from otel_qtap.discovery.containers.http_json import StatusError, get_json

BODY = b'{"name": "web"}'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/garbage":
            self.wfile.write(b"this is no HTTP\r\n")
            return
        self.send_response(200 if self.headers["Authorization"] else 403)
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def connection() -> Iterator[http.client.HTTPConnection]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_is_read_and_the_connection_closed(connection: http.client.HTTPConnection) -> None:
    assert get_json(connection, "/", {"Authorization": "x"}, len(BODY)) == {"name": "web"}
    assert connection.sock is None


def test_too_much_is_refused(connection: http.client.HTTPConnection) -> None:
    with pytest.raises(ValueError, match=f"^more than {len(BODY) - 1} bytes$"):
        get_json(connection, "/", {"Authorization": "x"}, len(BODY) - 1)


def test_another_status_is_told(connection: http.client.HTTPConnection) -> None:
    with pytest.raises(StatusError, match=r"^status 403$") as refused:
        get_json(connection, "/", {}, 100)
    assert refused.value.status == 403


def test_what_is_no_http_is_told_without_its_text(connection: http.client.HTTPConnection) -> None:
    with pytest.raises(ValueError, match=r"^no HTTP \(BadStatusLine\)$"):
        get_json(connection, "/garbage", {"Authorization": "x"}, 100)
