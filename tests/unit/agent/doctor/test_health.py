# SPDX-License-Identifier: Apache-2.0
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from otel_qtap.agent.doctor import Host, Status, health
from tests.support.ports import free_port


def test_free(make_host: Callable[..., Host]) -> None:
    address = f"127.0.0.1:{free_port()}"
    outcome = health.address(make_host(OTEL_QTAP_HEALTH_ADDRESS=address))
    assert (outcome.status, outcome.summary) == (Status.OK, f"{address} is free")


def test_any_port_is_always_free(make_host: Callable[..., Host]) -> None:
    assert health.address(make_host(OTEL_QTAP_HEALTH_ADDRESS="127.0.0.1:0")).status is Status.OK


def test_taken_by_something_else(make_host: Callable[..., Host]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        port = server.getsockname()[1]
        outcome = health.address(make_host(OTEL_QTAP_HEALTH_ADDRESS=f"127.0.0.1:{port}"))
        thread.join()
    assert outcome.status is Status.FAIL
    assert "OTEL_QTAP_HEALTH_ADDRESS" in outcome.remedy


def test_an_address_that_is_not_of_this_machine(make_host: Callable[..., Host]) -> None:
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))
        outcome = health.address(make_host(OTEL_QTAP_HEALTH_ADDRESS=f"127.0.0.1:{unbound.getsockname()[1]}"))
    assert outcome.status is Status.FAIL


def test_held_by_a_running_agent(make_host: Callable[..., Host]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/livez" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    address = f"127.0.0.1:{server.server_address[1]}"
    outcome = health.address(make_host(OTEL_QTAP_HEALTH_ADDRESS=address))
    thread.join()
    server.server_close()
    assert outcome.status is Status.OK
    assert "agent that runs" in outcome.summary
