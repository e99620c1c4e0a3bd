# SPDX-License-Identifier: Apache-2.0
"""The health pages over real connections, well and ill behaved."""

import http.client
import json
import socket

import pytest

from otel_qtap.agent.health import MAX_REQUESTS, HealthServer
from otel_qtap.conditions import State
from otel_qtap.errors import SettingsError
from otel_qtap.listening import listen
from tests.support.waiting import eventually


class Served:
    """A running server; what it tells is set by the test."""

    def __init__(self) -> None:
        self.conditions = {"probes": State(True, 1.5, ""), "collector": State(True, 2.0, "")}
        self.alive = {"chain": State(True, 0.0, "")}
        self.metrics = "# EOF\n"
        self._listener = listen("OTEL_QTAP_HEALTH_ADDRESS", "127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        HealthServer(
            self._listener,
            ready=lambda: self.conditions,
            alive=lambda: self.alive,
            metrics=lambda accept: (f"text/x-{accept or 'none'}", self.metrics),
            coverage=lambda: {"not_captured": []},
        ).start()

    def get(self, path: str, method: str = "GET", **fields: str) -> tuple[int, str, str]:
        """Status, content type and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request(method, path, headers=fields)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, answer.headers["Content-Type"], text

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@pytest.fixture
def served() -> Served:
    return Served()


def test_the_pages(served: Served) -> None:
    status, kind, text = served.get("/livez")
    assert (status, kind) == (200, "application/json")
    assert json.loads(text)["alive"] is True
    assert served.get("/metrics") == (200, "text/x-none", "# EOF\n")
    assert served.get("/metrics", Accept="y")[1] == "text/x-y"
    status, kind, text = served.get("/coverage")
    assert (status, kind, json.loads(text)) == (200, "application/json", {"not_captured": []})
    status, kind, text = served.get("/readyz?verbose")
    assert (status, kind) == (200, "application/json")
    assert json.loads(text) == {
        "ready": True,
        "conditions": {
            "probes": {"ready": True, "since": "1970-01-01T00:00:01.500Z"},
            "collector": {"ready": True, "since": "1970-01-01T00:00:02.000Z"},
        },
    }


def test_readiness_names_what_is_missing_since_when_and_why(served: Served) -> None:
    served.conditions["collector"] = State(False, 3.0, "connection_error")
    status, _, text = served.get("/readyz")

    assert status == 503
    assert json.loads(text)["ready"] is False
    assert json.loads(text)["conditions"]["collector"] == {
        "ready": False,
        "since": "1970-01-01T00:00:03.000Z",
        "reason": "connection_error",
    }


def test_who_is_not_alive_says_so(served: Served) -> None:
    served.alive["chain"] = State(False, 3.0, "not gone round for 12 s")
    status, _, text = served.get("/livez")

    assert (status, json.loads(text)["alive"]) == (503, False)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_a_head_is_a_get_without_its_text(served: Served, path: str) -> None:
    status, kind, text = served.get(path, "HEAD")

    assert (status, kind, text) == (*served.get(path)[:2], "")


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 501), ("DELETE", 501)])
def test_there_is_nothing_else(served: Served, method: str, status: int) -> None:
    assert served.get("/../etc/passwd", method)[0] == status


def test_clients_that_leave_and_garbage_say_nothing_on_standard_error(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    served.metrics = "x" * (8 << 20)
    for request in (b"GET /metrics HTTP/1.1\r\n\r\n", b"\x16\x03\x01" * 1000, b"GET " + b"a" * 70_000, b""):
        client = served.connect()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not closed
        client.sendall(request)
        client.close()
    served.metrics = ""

    assert served.get("/livez")[0] == 200
    assert capfd.readouterr().err == ""


def test_connections_that_say_nothing_are_turned_away_beyond_a_bound(served: Served) -> None:
    idle = [served.connect() for _ in range(MAX_REQUESTS)]
    one_more = served.connect()

    assert one_more.recv(1) == b"", "closed without an answer"
    for client in (*idle, one_more):
        client.close()
    eventually(lambda: _status(served) == 200, "there is room again")


def _status(served: Served) -> int:
    try:
        return served.get("/livez")[0]
    except (OSError, http.client.HTTPException):
        return 0


def test_an_address_that_is_taken_is_refused_with_the_variable(served: Served) -> None:
    with pytest.raises(
        SettingsError,
        match=rf"HEALTH_ADDRESS=127.0.0.1:{served.port}: cannot listen.*another otel-qtap",
    ):
        listen("OTEL_QTAP_HEALTH_ADDRESS", "127.0.0.1", served.port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="Name a free HOST:PORT"):
        listen("OTEL_QTAP_HEALTH_ADDRESS", host, 0)
