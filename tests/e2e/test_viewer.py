# SPDX-License-Identifier: Apache-2.0
"""From a captured exchange to the page behind its reference, in a directory and in a bucket."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tests.support.agent import AgentProcess, running_agent
from tests.support.clients import request
from tests.support.collector import Collector, running_collector
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.s3server import S3Server, running_s3_server
from tests.support.stored import parse_reference, wait_for_reference
from tests.support.tls_servers import TlsServer
from tests.support.viewer import Viewer, running_viewer
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

TOKEN = "0123456789abcdef-of-a-test"
BUCKET = "viewed"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def captured(
    collector: Collector, server: TlsServer, pki: Pki, name: str, store: str
) -> tuple[str, Mapping[str, str], bytes]:
    """Makes one request; the reference into this store, its span's ids, its body."""
    body = f'{{"marked":"{name}"}}'.encode()
    headers = ["Content-Type: application/json"]
    request("curl", "POST", f"{server.url}/echo/{name}", pki.ca, body=body, headers=headers)

    def chosen(span) -> bool:
        url = str(span.attributes.get("url.full", ""))
        # The module's agent sees it too, and stores elsewhere.
        return url.endswith(f"/echo/{name}") and span.body_reference("request").startswith(store)

    (span,) = collector.wait_for_spans(1, chosen, seconds=30)
    return span.body_reference("request"), {"trace": span.trace_id, "span": span.span_id}, body


def assert_shows(viewer: Viewer, uri: str, ids: Mapping[str, str], body: bytes, name: str) -> None:
    address = f"/payload?uri={quote(uri, safe='')}"
    assert viewer.get(address).status == 401
    answer = viewer.get(address, **AUTHORIZED)
    page = answer.read().decode()
    assert answer.status == 200, page
    for shown in (
        *ids.values(),
        f"/echo/{name}",
        "200 OK",
        f'<span class="string">&quot;{name}&quot;</span>',
    ):
        assert shown in page
    for part in ("request", "response"):
        download = f"/payload/body?uri={quote(uri, safe='')}&part={part}"
        assert viewer.get(download, **AUTHORIZED).read() == body
        assert viewer.get(download).status == 401
        head = viewer.get(download, "HEAD", **AUTHORIZED)
        assert (head.status, head.headers["Content-Length"], head.read()) == (200, str(len(body)), b"")


def test_what_was_captured_is_shown_from_a_directory(
    agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki, tmp_path: Path
) -> None:
    uri, ids, body = captured(collector, cpython_server, pki, "seen-in-a-directory", agent.objects.as_uri())
    wait_for_reference(uri)
    secret = agent.objects.parent / "secret.warc.gz"
    secret.write_bytes(parse_reference(uri).path.read_bytes())
    link = parse_reference(uri).path.with_name("link.warc.gz")
    link.symlink_to(secret)
    settings = {"OTEL_QTAP_OBJECTS_URL": agent.objects.as_uri(), "OTEL_QTAP_SERVE_TOKEN": TOKEN}
    with running_viewer(tmp_path, settings) as viewer:
        assert_shows(viewer, uri, ids, body, "seen-in-a-directory")
        span = uri.rpartition("#")[2]
        for escape, status in (
            (f"{agent.objects.as_uri()}/../secret.warc.gz#{span}", 403),
            (f"{agent.objects.as_uri()}/%2e%2e/secret.warc.gz#{span}", 403),
            (f"{secret.as_uri()}#{span}", 403),
            ("file:///etc/passwd#bytes=0-99", 403),
            (f"{link.as_uri().replace('%3D', '=')}#{span}", 502),
        ):
            answer = viewer.get(f"/payload?uri={quote(escape, safe='')}", **AUTHORIZED)
            assert (answer.status, b"seen-in" in answer.read()) == (status, False), escape
        assert "seen-in-a-directory" not in viewer.stderr
        assert TOKEN not in viewer.stderr


def test_what_was_captured_is_shown_from_a_bucket(
    collector: Collector, cpython_server: TlsServer, pki: Pki, tmp_path: Path
) -> None:
    with running_s3_server(tmp_path) as s3:
        s3.client().create_bucket(Bucket=BUCKET)
        store = {"OTEL_QTAP_OBJECTS_URL": f"s3://{BUCKET}/captured", **s3.environment()}
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint, **store}
        with running_agent(tmp_path / "agent", settings):
            uri, ids, body = captured(collector, cpython_server, pki, "seen-in-a-bucket", f"s3://{BUCKET}/")
            key = parse_reference(uri).url.removeprefix(f"s3://{BUCKET}/")
            eventually(lambda: key in s3.objects(BUCKET), "the segment is in the bucket")
        with running_viewer(tmp_path, {**store, "OTEL_QTAP_SERVE_TOKEN": TOKEN}) as viewer:
            assert_shows(viewer, uri, ids, body, "seen-in-a-bucket")
            assert_stays_below_the_prefix(viewer, s3, uri, key)
            address = f"/payload?uri={quote(uri, safe='')}"
            s3.client().delete_object(Bucket=BUCKET, Key=key)
            expired = viewer.get(address, **AUTHORIZED)
            assert expired.status == 404
            assert b"expired" in expired.read()
    # The server is gone now.
    with running_viewer(tmp_path / "later", {**store, "OTEL_QTAP_SERVE_TOKEN": TOKEN}) as viewer:
        unreachable = viewer.get(address, **AUTHORIZED)
        assert unreachable.status == 502
        assert b"is the endpoint right and reachable?" in unreachable.read()


def test_an_agent_can_leave_the_viewer_out(nginx: Nginx, pki: Pki, tmp_path: Path) -> None:
    agent_settings = {
        "OTEL_QTAP_CAPTURE_EXCLUDE": "comm=otel-qtap",
    }
    viewer_settings = {
        "OTEL_QTAP_OBJECTS_URL": tmp_path.as_uri(),
        "OTEL_QTAP_SERVE_TOKEN": TOKEN,
        "OTEL_QTAP_SERVE_TLS_CERTIFICATE": str(pki.server.certificate),
        "OTEL_QTAP_SERVE_TLS_KEY": str(pki.server.key),
    }
    with (
        running_collector(tmp_path / "collector") as collector,
        running_agent(
            tmp_path / "agent", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint, **agent_settings}
        ) as agent,
        running_viewer(tmp_path / "viewer", viewer_settings) as viewer,
    ):
        port = urlsplit(viewer.url).port
        request("curl", "GET", f"https://localhost:{port}/healthz", pki.ca)
        request("curl", "GET", f"{nginx.url}/hello", pki.ca)
        agent.stop()
        spans = collector.telemetry().spans
    assert [span.kind for span in spans if span.port == port] == ["client"], "curl's end alone"
    assert sorted(span.kind for span in spans if span.port == nginx.port) == ["client", "server"]


def assert_stays_below_the_prefix(viewer: Viewer, s3: S3Server, uri: str, key: str) -> None:
    s3.client().copy_object(Bucket=BUCKET, Key="elsewhere.warc.gz", CopySource={"Bucket": BUCKET, "Key": key})
    span = uri.rpartition("#")[2]
    for escape in ("elsewhere.warc.gz", "captured/../elsewhere.warc.gz", "captured/%2e%2e/elsewhere.warc.gz"):
        answer = viewer.get(f"/payload?uri={quote(f's3://{BUCKET}/{escape}#{span}', safe='')}", **AUTHORIZED)
        assert answer.status in (403, 404), escape
        assert b"seen-in" not in answer.read()
