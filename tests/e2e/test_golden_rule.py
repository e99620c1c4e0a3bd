# SPDX-License-Identifier: Apache-2.0
"""Metadata goes to OTLP, payloads to the store: nothing of a payload gets into telemetry, logs or metrics."""

import base64
import subprocess
from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.canaries import forms_of, leaks, new_canary
from tests.support.clients import python_program, request
from tests.support.otlp_sink import OtlpSink
from tests.support.pki import Pki
from tests.support.stored import plain_segments
from tests.support.tls_servers import TlsServer, running_cpython_server, running_raw_echo
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("shift", range(3))
def test_canary_is_found_in_base64_at_any_alignment(shift: int) -> None:
    canary = new_canary("self")
    encoded = base64.b64encode(b"x" * shift + canary.encode() + b"yy")
    assert leaks([canary], b"..." + encoded + b"...")
    assert not leaks([canary], b"nothing of it")


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_no_canary_leaves_but_into_the_store(protocol: str, tmp_path: Path, sink: OtlpSink, pki: Pki) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_LOG_LEVEL": "debug",
    }
    with running_cpython_server(pki) as web, running_raw_echo(pki) as raw:
        with running_agent(tmp_path / "agent", settings) as agent:
            canaries = exchange_with_canaries(web, pki)
            broken = send_broken_messages(raw, pki)
            eventually(lambda: len(sink.telemetry().on_port(web.port)) >= 8, "the spans arrived")
            eventually(lambda: sink.telemetry().points, "the metrics arrived")
            metrics = agent.health("/metrics")[1].encode()
            agent.stop()
            stderr = agent.stderr.encode()
        sent = b"\n".join(r.body + b"\n" + repr(r.headers).encode() + r.path.encode() for r in sink.requests)

    assert len(sent) > 1000
    assert metrics
    everything = [*canaries, *broken]
    assert leaks(everything, sent) == []
    assert leaks(everything, stderr) == []
    assert leaks(everything, metrics) == []
    stored = plain_segments(agent.objects)
    missing = [c for c in canaries if not any(form in stored for form in forms_of(c).values())]
    assert missing == []


def exchange_with_canaries(web: TlsServer, pki: Pki) -> list[str]:
    """Exchanges with a canary in each place where an application may put something; returns them all."""
    body, header, cookie, token, query = map(new_canary, ["body", "header", "cookie", "token", "query"])
    request(
        "http.client",
        "POST",
        f"{web.url}/echo/all?email={query}",
        pki.ca,
        body=f'{{"secret": "{body}"}}'.encode(),
        headers=[
            f"X-Secret: {header}",
            f"Cookie: session={cookie}",
            f"Authorization: Bearer {token}",
            "Content-Type: application/json",
        ],
    )
    user, password = new_canary("user"), new_canary("password")
    address = web.url.removeprefix("https://")
    request("curl", "GET", f"https://{user}:{password}@{address}/hello", pki.ca)
    value, answer, trailer, late = map(new_canary, ["value", "answer", "trailer", "late"])
    chunked = (
        f"POST /chunked HTTP/1.1\r\nHost: {address}\r\nTransfer-Encoding: chunked\r\n"
        f"X-Trailer-Wanted: {late}\r\nTrailer: X-Sum\r\nConnection: keep-alive\r\n\r\n"
        f"5\r\nhello\r\n0\r\nX-Sum: {trailer}\r\n\r\n"
    )
    absolute = (
        f"GET https://{user}:{password}@{address}/hello?v={value} HTTP/1.1\r\n"
        f"Host: {address}\r\nX-Answer-Wanted: {answer}\r\n\r\n"
    )
    talk("http_lines_client.py", web, pki, chunked, absolute)
    return [body, header, cookie, token, query, user, password, value, answer, trailer, late]


def send_broken_messages(raw: TlsServer, pki: Pki) -> list[str]:
    """Plaintext that no parser takes, with canaries; returns those."""
    first, second, third = (new_canary("broken") for _ in range(3))
    lines = [
        f"GET / HTTP/9.9\r\n{first}\r\n\r\n",
        f"\x16\x03{first}\x00{second}\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {third}\r\n\r\n{second}",
        f"POST / HTTP/1.1\r\nHost: {first}\r\nTransfer-Encoding: chunked\r\n\r\nzz{third}\r\n",
    ]
    subprocess.run(
        python_program("raw_tls_client.py", str(raw.port), str(pki.ca)),
        input="".join(line.encode("latin-1").hex() + "\n" for line in lines),
        text=True,
        check=True,
        timeout=60,
    )
    return [second, third]


def talk(program: str, web: TlsServer, pki: Pki, *messages: str) -> None:
    subprocess.run(
        python_program(program, str(web.port), str(pki.ca)),
        input="".join(message.encode().hex() + "\n" for message in messages),
        text=True,
        check=True,
        timeout=60,
    )
