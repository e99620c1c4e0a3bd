# SPDX-License-Identifier: Apache-2.0
"""An engine that answers as the test says, over real HTTP on a real Unix socket."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest


class Engine(ThreadingMixIn, UnixStreamServer):
    """``pages`` by path: JSON, or raw bytes of a body. ``asked`` are the paths that were."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.pages: dict[str, Any] = {}
        self.asked: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        super().__init__(self.path, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked may have gone."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        engine = self.server
        assert isinstance(engine, Engine)
        engine.hold.wait(20)
        engine.asked.append(self.path)
        page = engine.pages.get(self.path)
        body = page if isinstance(page, bytes) else json.dumps(page).encode()
        self.send_response(200 if page is not None else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return ""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "engine.sock") as engine:
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield engine
        engine.hold.set()
        engine.shutdown()
        thread.join()
