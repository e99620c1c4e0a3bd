# SPDX-License-Identifier: Apache-2.0
"""The sockets: well and ill behaved clients, TLS, bounds."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from threading import Thread

import pytest

from otel_qtap.errors import SettingsError
from otel_qtap.listening import listen
from otel_qtap.viewer import responses
from otel_qtap.viewer.requests import Request
from otel_qtap.viewer.responses import Response
from otel_qtap.viewer.server import LARGEST_FORM, MOST_CONNECTIONS, ViewerServer, tls_context
from tests.support.pki import Pki
from tests.support.waiting import eventually


class Mirror:
    """An application that tells what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def answer(self, request: Request) -> Response:
        self.asked.append(request)
        return responses.text("<b>answer</b>", HTTPStatus.OK, (("X-Extra", "1"),))


@contextmanager
def serving(tls: ssl.SSLContext | None = None, **options: float) -> Iterator[tuple[int, Mirror]]:
    listener, mirror = listen("OTEL_QTAP_SERVE_ADDRESS", "127.0.0.1", 0), Mirror()
    server = ViewerServer(listener, mirror, tls, **options)  # type: ignore[arg-type]
    port = listener.getsockname()[1]
    thread = Thread(target=server.serve)
    thread.start()
    try:
        yield port, mirror
    finally:
        server.close()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def served() -> Iterator[tuple[int, Mirror]]:
    with serving() as served:
        yield served


def ask(
    port: int, method: str, path: str, body: str | None = None, **headers: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, headers)
    return connection.getresponse()


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(data)
        answer = b""
        try:
            client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(65536):
                answer += chunk
        except OSError:
            pass
        return answer


def test_a_request_is_taken_apart(served) -> None:
    port, mirror = served
    answer = ask(port, "GET", "/payload?uri=s3%3A%2F%2Fb%23x&part=request", X_Name="v")
    assert (answer.status, answer.read(), answer.headers["X-Extra"]) == (200, b"<b>answer</b>", "1")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Server"].strip() == "otel-qtap"
    (asked,) = mirror.asked
    assert (asked.method, asked.path, asked.peer, asked.encrypted) == ("GET", "/payload", "127.0.0.1", False)
    assert asked.query == {"uri": "s3://b#x", "part": "request"}
    assert asked.header("x_name") == "v"


def test_head_has_no_body(served) -> None:
    port, mirror = served
    data = raw(port, b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert data.endswith(b"\r\n\r\n")
    assert b"Content-Length: 13" in data
    assert mirror.asked[0].method == "HEAD"


def test_a_form_is_read(served) -> None:
    port, mirror = served
    ask(port, "POST", "/login", "token=a%2Bb&uri=x")
    assert mirror.asked[0].form == {"token": "a+b", "uri": "x"}


def test_repeated_header_fields_stay_apart(served) -> None:
    port, mirror = served
    raw(port, b"GET / HTTP/1.1\r\nX-Forwarded-User: a\r\nx-forwarded-user: b\r\n\r\n")
    assert mirror.asked[0].headers["x-forwarded-user"] == ("a", "b")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"DELETE / HTTP/1.1\r\n\r\n", b"501"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /?a=1&a=2 HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /?a=%ff HTTP/1.1\r\n\r\n", b"400"),
        (b"GET http://[x/ HTTP/1.1\r\n\r\n", b"400"),
        (b"POST /login HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"413"),
        (b"POST /login HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (LARGEST_FORM + 1), b"413"),
        (b"POST /login HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
    ],
)
def test_what_is_malformed_is_refused_before_anybody_looks(served, data: bytes, status: bytes, capfd) -> None:
    port, mirror = served
    answer = raw(port, data)
    assert status in answer.split(b"\r\n")[0]
    assert b"nosniff" in answer
    assert mirror.asked == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "path", ["//evil.example/payload", "/../payload", "/payload%2f", "http://evil/payload"]
)
def test_other_paths_are_not_made_to_fit(served, path: str) -> None:
    port, mirror = served
    raw(port, f"GET {path} HTTP/1.1\r\n\r\n".encode())
    assert mirror.asked[0].path in (path, "/evil.example/payload", "/payload")
    assert "evil.example" not in mirror.asked[0].path or mirror.asked[0].path == "/evil.example/payload"


def test_clients_that_leave_say_nothing_on_standard_error(served, capfd) -> None:
    port, _ = served
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" * 1000, b""):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(data)
        client.close()
    assert ask(port, "GET", "/").status == 200
    assert capfd.readouterr().err == ""


def test_a_request_that_drips_is_ended() -> None:
    with (
        serving(ask_seconds=0.3) as (port, mirror),
        socket.create_connection(("127.0.0.1", port), timeout=10) as slow,
    ):

        def gone() -> bool:
            try:
                slow.sendall(b"X")
                slow.settimeout(0.05)
                return slow.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        eventually(gone, "the connection is ended, though bytes keep coming")
        assert mirror.asked == []
        assert ask(port, "GET", "/").status == 200


def test_connections_beyond_a_bound_are_turned_away(served) -> None:
    port, _ = served
    idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(MOST_CONNECTIONS)]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one_more:
        assert one_more.recv(1) == b""
    for client in idle:
        client.close()

    def room() -> bool:
        try:
            return ask(port, "GET", "/").status == 200
        except (OSError, http.client.HTTPException):
            return False

    eventually(room, "there is room again")


def test_tls(pki: Pki) -> None:
    context = tls_context(pki.server.certificate, pki.server.key)
    with serving(context) as (port, mirror):
        trusting = ssl.create_default_context(cafile=str(pki.ca))
        connection = http.client.HTTPSConnection("localhost", port, context=trusting, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"<b>answer</b>"
        assert mirror.asked[0].encrypted
        assert b"200" not in raw(port, b"GET / HTTP/1.1\r\n\r\n")
        assert len(mirror.asked) == 1


def test_a_certificate_without_its_key_is_refused(pki: Pki) -> None:
    with pytest.raises(SettingsError, match="OTEL_QTAP_SERVE_TLS_KEY"):
        tls_context(pki.ca, pki.server.key)


def test_an_address_that_is_taken_is_refused_with_the_variable() -> None:
    with listen("OTEL_QTAP_SERVE_ADDRESS", "127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"OTEL_QTAP_SERVE_ADDRESS=127.0.0.1:{port}: cannot listen"):
            listen("OTEL_QTAP_SERVE_ADDRESS", "127.0.0.1", port)
