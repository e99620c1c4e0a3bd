# SPDX-License-Identifier: Apache-2.0
"""`make demo`: the agent beside real HTTPS traffic on this machine, its spans, a payload by its reference.

Everything runs on loopback and in a temporary directory, and ends with this program. Needs root, because
loading BPF programs does.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sink import Sink, Span, running_sink

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).parent / "otel-qtap"
READY_SECONDS = 30.0
ARRIVAL_SECONDS = 20.0

REQUESTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/orders?customer=ada@example.com", ()),
    ("/orders", ("-H", "content-type: application/json", "-d", '{"item": "star map"}')),
    ("/nowhere", ("-H", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
)
KINDS = {2: "server", 3: "client"}
REFERENCE = "http.response.body.content_ref"

T = TypeVar("T")


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


def main() -> int:
    """Run the demo; returns the exit code."""
    if os.geteuid() != 0:
        print("The demo loads BPF programs, which takes root: sudo make demo", file=sys.stderr)
        return 3
    directory = Path(tempfile.mkdtemp(prefix="otel-qtap-demo-"))
    try:
        with running_sink() as sink, running_shop(directory) as port, running_agent(directory, sink):
            make_requests(port)
            spans = wait_for(lambda: exchanges(sink, port), "spans of the exchanges", directory)
            show_spans(spans)
            show_payload(next(span for span in spans if REFERENCE in span["attributes"]), directory)
            say("Stopping the agent: it drains, exports and stores what is left")
        return 0
    except DemoError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running_shop(directory: Path) -> Iterator[int]:
    """An HTTPS server that knows nothing of the agent; yields its port."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    command: list[str | Path] = [sys.executable, HERE / "shop.py", certificate, key]
    shop = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert shop.stdout is not None
        port = int(shop.stdout.readline())
        say(f"An HTTPS server (CPython's ssl) runs as process {shop.pid} on port {port}")
        yield port
    finally:
        shop.terminate()
        shop.wait()


@contextmanager
def running_agent(directory: Path, sink: Sink) -> Iterator[None]:
    """The agent, with defaults but for its places; ends by SIGTERM."""
    health = f"127.0.0.1:{free_port()}"
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_QTAP_OBJECTS_URL": (directory / "objects").as_uri(),
        "OTEL_QTAP_OBJECTS_SEGMENT_SECONDS": "1",
        "OTEL_QTAP_STATE_DIRECTORY": str(directory / "state"),
        "OTEL_QTAP_HEALTH_ADDRESS": health,
    }
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    directory.chmod(0o755)  # the agent's unprivileged process passes through
    started = time.monotonic()
    with (directory / "agent.log").open("wb") as log:
        agent = subprocess.Popen([COMMAND, "run"], env={**own, **settings}, stderr=log)
    try:
        wait_for(
            lambda: is_ready(agent, health, directory), "the agent to be ready", directory, READY_SECONDS
        )
        say(f"The agent is ready after {time.monotonic() - started:.1f} s and watches every process")
        yield
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait()


def make_requests(port: int) -> None:
    """Short-lived curl processes, none of which exists yet when the agent attaches."""
    say("Requests, by curl:")
    for path, options in REQUESTS:
        url = f"https://localhost:{port}{path}"
        done = subprocess.run(
            ["curl", "-sS", "-k", "--http1.1", *options, url], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DemoError(f"curl failed: {done.stderr}")
        print(f"  curl -k {url}{' ...' if options else ''}\n    {done.stdout[:90]}")


def exchanges(sink: Sink, port: int) -> list[Span]:
    """Spans of both sides of every request, in order of time; nothing until all are there."""
    found = [
        span
        for span in sink.spans
        if span["kind"] in KINDS and str(span["attributes"].get("server.port")) == str(port)
    ]
    if len(found) < 2 * len(REQUESTS):
        return []
    return sorted(found, key=lambda span: int(span["startTimeUnixNano"]))


def show_spans(spans: list[Span]) -> None:
    """One line a span, and its reference below."""
    say(f"{len(spans)} spans arrived over OTLP; payloads did not, only references to them:")
    row = "  {:7} {:14} {:>6} {:>9}  {:22} {:32}  {}".format
    print(row("KIND", "NAME", "STATUS", "DURATION", "PEER", "TRACE", "COMPLETE"))
    for span in spans:
        attributes = span["attributes"]
        took = (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e6
        peer = f"{attributes.get('network.peer.address', '?')}:{attributes.get('network.peer.port', '?')}"
        status = attributes.get("http.response.status_code", "-")
        complete = "yes" if attributes.get("qtap.capture.complete") else "no"
        print(
            row(KINDS[span["kind"]], span["name"], status, f"{took:.1f} ms", peer, span["traceId"], complete)
        )
        for name in ("url.full", "url.query", REFERENCE):
            if name in attributes:
                print(f"          {name} = {attributes[name]}")


def show_payload(span: Span, directory: Path) -> None:
    """Fetch the response body that a span refers to, as its reader would."""
    reference = span["attributes"][REFERENCE]
    say("One payload, fetched by its reference:")
    print(f"  otel-qtap payload get '{reference}' --body")
    print(f"    {wait_for(lambda: payload(reference), 'the payload to be stored', directory)}")


def payload(reference: str) -> str:
    """The body, or nothing while its segment is still open."""
    done = subprocess.run(
        [COMMAND, "payload", "get", reference, "--body"], capture_output=True, text=True, check=False
    )
    return done.stdout


def wait_for(look: Callable[[], T], what: str, directory: Path, seconds: float = ARRIVAL_SECONDS) -> T:
    """The first truthy answer of ``look``; DemoError with the agent's log when none comes in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := look():
            return answer
        time.sleep(0.1)
    raise DemoError(f"Waited {seconds:.0f} s for {what}. The agent's log ends:\n{log_tail(directory)}")


def is_ready(agent: "subprocess.Popen[bytes]", health: str, directory: Path) -> bool:
    """Whether the agent says so itself."""
    if agent.poll() is not None:
        raise DemoError(f"The agent ended with exit code {agent.returncode}:\n{log_tail(directory)}")
    try:
        with urllib.request.urlopen(f"http://{health}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def log_tail(directory: Path) -> str:
    """Last lines of the agent's log."""
    return "\n".join((directory / "agent.log").read_text(errors="replace").splitlines()[-15:])


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def say(text: str) -> None:
    """A step of the demo."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}")


if __name__ == "__main__":
    sys.exit(main())
