# SPDX-License-Identifier: Apache-2.0
"""One HTTPS request by a real client program, named as its users name it."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"

CLIENTS = ("curl", "http.client", "requests", "ruby")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client got."""

    status: int
    body: bytes


def python_program(name: str, *arguments: str) -> list[str]:
    """Command line of a Python program of the tests."""
    return [sys.executable, str(PROGRAMS / name), *arguments]


def request(
    client: str,
    method: str,
    url: str,
    ca: Path,
    *,
    body: bytes | None = None,
    headers: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """Make one request with a client of ``CLIENTS``; ``headers`` are ``Name: value``."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer"
        answer.touch()
        body_file = Path(scratch) / "body"
        if body is not None:
            body_file.write_bytes(body)
        command = _command(
            client,
            method=method,
            url=url,
            ca=ca,
            answer=answer,
            body=body_file if body is not None else None,
            headers=headers,
        )
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{client} exited {done.returncode}: {done.stderr}"
        return Answer(int(done.stdout.split()[-1]), answer.read_bytes())


def _command(
    client: str,
    *,
    method: str,
    url: str,
    ca: Path,
    answer: Path,
    body: Path | None,
    headers: Sequence[str],
) -> list[str]:
    if client == "curl":
        command = [_program("curl"), "--silent", "--show-error", "--http1.1", "--cacert", str(ca)]
        command += ["--output", str(answer), "--write-out", "%{http_code}"]
        command += ["--head"] if method == "HEAD" else ["--request", method]
        if body is not None:
            command += ["--data-binary", f"@{body}", "--header", "Content-Type: application/octet-stream"]
        for field in headers:
            command += ["--header", field]
        return [*command, url]
    options = ["--body", str(body)] if body is not None else []
    for field in headers:
        options += ["--header", field]
    arguments = [method, url, str(ca), str(answer), *options]
    match client:
        case "http.client":
            return python_program("http_client.py", *arguments)
        case "requests":
            return python_program("requests_client.py", *arguments)
        case "ruby":
            return [_program("ruby"), str(PROGRAMS / "net_http_client.rb"), *arguments]
    raise AssertionError(f"no such client: {client}")


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed: `make install` brings it")
    return path
