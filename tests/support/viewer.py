# SPDX-License-Identifier: Apache-2.0
"""The viewer as its users run it: ``otel-qtap serve`` with its environment."""

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.subprocesses import running
from tests.support.waiting import eventually

COMMAND = str(Path(sys.executable).parent / "otel-qtap")


class Viewer:
    """A running viewer."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log
        self.url = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace")

    def wait_ready(self) -> None:
        def address() -> str:
            if self.process.poll() is not None:
                raise AssertionError(f"the viewer exited {self.process.returncode}:\n{self.stderr}")
            found = re.search(r'serving payloads of \S+ at ([^\s",]+)', self.stderr)
            return found[1] if found else ""

        self.url = eventually(address, "the viewer says where it serves", seconds=20)

    def get(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        """One request, as a script sends it."""
        port = urlsplit(self.url).port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, path, headers={"Host": f"127.0.0.1:{port}", **headers})
        return connection.getresponse()


@contextmanager
def running_viewer(directory: Path, settings: Mapping[str, str]) -> Iterator[Viewer]:
    """A viewer on a free port that answers; ended with the block."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AWS_"))}
    environment = {**clean, "OTEL_QTAP_SERVE_ADDRESS": "127.0.0.1:0", **settings}
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "viewer.log"
    with running([COMMAND, "serve"], log, environment) as process:
        viewer = Viewer(process, log)
        viewer.wait_ready()
        yield viewer
