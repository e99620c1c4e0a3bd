# SPDX-License-Identifier: Apache-2.0
"""Payload references are links in Jaeger and Grafana: what their UIs would make of the configuration here.

Jaeger's rule: for each attribute of a span whose name is ``key``, the URL with ``#{name}`` replaced by the
percent-encoded value. Grafana's rule: the last match of each regular expression (flags g and i) in the
span's attributes as JSON is a variable of the URL; without a match there is no link.
"""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import yaml

from otel_qtap.objectstore.filesystem import FilesystemStore
from otel_qtap.telemetry import names
from tests.support.cleared import exchange
from tests.support.compose import compose_model
from tests.support.payload_store import answering, posting, store_exchanges
from tests.support.viewer import running_viewer

DOCKER = Path(__file__).parents[2] / "docker"
CORRELATIONS = sorted((DOCKER / "grafana" / "correlations").glob("*.json"))
VIEWER = "http://localhost:13134/payload"

REFERENCES = [
    "s3://payloads/service.name=shop/date=2026-01-02/hour=03/0b1c.warc.gz#bytes=0-2047",
    "s3://payloads/service.name=a%20b&c+d/date=2026-01-02/x.warc.gz#bytes=12-99",
    "file:///var/lib/otel-qtap/objects/service.name=shop/x.warc.gz#bytes=5-6",
]


def span_attributes(reference: str) -> dict[str, Any]:
    return {
        "http.request.method": "GET",
        "url.full": "https://shop/{id}?q=REDACTED",
        "http.response.status_code": 200,
        "http.request.body.content_ref": reference.replace("bytes=", "bytes=1"),
        "http.response.body.content_ref": reference,
        "qtap.payload.uri": reference,
        "qtap.capture.complete": True,
    }


def encode_uri_component(text: str) -> str:
    """As in ECMAScript."""
    return quote(text, safe="-_.!~*'()")


def assert_opens(url: str, reference: str) -> None:
    """The viewer gets the whole reference as its one parameter."""
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == VIEWER
    assert parts.fragment == ""
    assert parse_qs(parts.query, strict_parsing=True) == {"uri": [reference]}


def jaeger_links(attributes: dict[str, Any]) -> dict[str, str]:
    links = {}
    for pattern in json.loads((DOCKER / "jaeger" / "ui.json").read_text())["linkPatterns"]:
        assert pattern.keys() == {"type", "key", "url", "text"}
        assert pattern["type"] == "tags"
        if pattern["key"] in attributes:
            links[pattern["key"]] = re.sub(
                r"#\{([^{}]*)\}",
                lambda match: encode_uri_component(str(attributes[match[1]])),
                pattern["url"],
            )
    return links


def grafana_links(attributes: dict[str, Any]) -> dict[str, str]:
    """By label."""
    tags = json.dumps(
        [{"key": key, "value": value} for key, value in attributes.items()], separators=(",", ":")
    )
    links = {}
    for file in CORRELATIONS:
        correlation = json.loads(file.read_text())
        assert correlation["type"] == "external"
        config = correlation["config"]
        (transformation,) = config["transformations"]
        assert transformation["field"] == "tags"
        matches = re.findall(transformation["expression"], tags, re.IGNORECASE)
        if matches:
            variable = f"${{{transformation['mapValue']}:percentencode}}"
            assert variable in config["target"]["url"]
            links[correlation["label"]] = config["target"]["url"].replace(
                variable, encode_uri_component(matches[-1])
            )
    return links


@pytest.mark.parametrize("reference", REFERENCES)
def test_references_are_links_in_jaeger(reference: str) -> None:
    attributes = span_attributes(reference)

    links = jaeger_links(attributes)

    assert links.keys() == {
        names.REQUEST_CONTENT_REF,
        names.RESPONSE_CONTENT_REF,
        names.PAYLOAD_URI,
    }
    for key, url in links.items():
        assert_opens(url, attributes[key])


@pytest.mark.parametrize("reference", REFERENCES)
def test_references_are_links_in_grafana(reference: str) -> None:
    attributes = span_attributes(reference)

    links = grafana_links(attributes)

    assert links.keys() == {"Open the request", "Open the response"}
    assert_opens(links["Open the request"], attributes[names.REQUEST_CONTENT_REF])
    assert_opens(links["Open the response"], attributes[names.RESPONSE_CONTENT_REF])


def test_links_open_the_payload_in_the_viewer(tmp_path: Path) -> None:
    url = (tmp_path / "objects").as_uri()
    asked = posting("text/plain", b"question")
    answered = answering("text/plain", b"answer")
    (record,) = store_exchanges(FilesystemStore(url), tmp_path / "state", exchange(asked, answered))
    assert record.request_ref
    assert record.response_ref
    attributes = {
        names.REQUEST_CONTENT_REF: record.request_ref.uri,
        names.RESPONSE_CONTENT_REF: record.response_ref.uri,
        names.PAYLOAD_URI: record.response_ref.uri,
    }
    token = "0123456789abcdef"
    account = 60913
    if os.geteuid() == 0:  # then the viewer goes on as the account that owns payloads
        for path in (tmp_path / "objects", *(tmp_path / "objects").rglob("*")):
            os.chown(path, account, account)

    settings = {
        "OTEL_QTAP_OBJECTS_URL": url,
        "OTEL_QTAP_SERVE_TOKEN": token,
        "OTEL_QTAP_PIPELINE_USER": str(account),
    }
    with running_viewer(tmp_path, settings) as viewer:
        for link in (*jaeger_links(attributes).values(), *grafana_links(attributes).values()):
            answer = viewer.get(link.removeprefix("http://localhost:13134"), Authorization=f"Bearer {token}")
            page = answer.read().decode()
            assert answer.status == 200, page
            assert "question" in page
            assert "answer" in page


def test_spans_without_payload_have_no_link() -> None:
    attributes = {"http.request.method": "GET", "url.full": "https://shop/"}

    assert jaeger_links(attributes) == {}
    assert grafana_links(attributes) == {}


def test_grafana_data_source_is_the_one_that_gets_the_links() -> None:
    secrets = dict.fromkeys(("S3_ACCESS_KEY", "S3_SECRET_KEY", "GRAFANA_PASSWORD", "VIEWER_TOKEN"), "x")
    services = compose_model(DOCKER / "compose.yaml", secrets)["services"]
    provisioned = yaml.safe_load((DOCKER / "grafana" / "datasources.yaml").read_text())

    assert provisioned["apiVersion"] == 1
    (source,) = provisioned["datasources"]
    assert source["type"] == "tempo"
    assert source["uid"] == services["correlations"]["environment"]["DATA_SOURCE"]
    tempo = yaml.safe_load((DOCKER / "tempo" / "tempo.yaml").read_text())
    assert source["url"] == f"http://tempo:{tempo['server']['http_listen_port']}"


class Grafana(BaseHTTPRequestHandler):
    """Grafana's documented correlations API, as far as `correlate` uses it."""

    created: ClassVar[list[dict[str, Any]]]
    credentials: ClassVar[set[str | None]]

    def do_GET(self) -> None:
        if self.path == "/api/health":
            self.answer(200, {"database": "ok"})
        elif not self.created:
            self.answer(404, {"message": "No correlation found"})
        else:
            self.answer(200, self.created)

    def do_POST(self) -> None:
        self.credentials.add(self.headers["authorization"])
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/api/datasources/uid/tempo/correlations" or "label" not in body:
            self.answer(400, {"message": "bad"})
            return
        self.created.append({"sourceUID": "tempo", **body})
        self.answer(200, {"message": "Correlation created"})

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def grafana() -> Iterator[str]:
    Grafana.created, Grafana.credentials = [], set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Grafana)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def correlate(url: str, data_source: str = "tempo") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", str(DOCKER / "grafana" / "correlate")],
        env={
            "PATH": "/usr/bin:/bin",
            "GRAFANA_URL": url,
            "GRAFANA_USER": "admin",
            "GRAFANA_PASSWORD": 'pass "word',
            "DATA_SOURCE": data_source,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_correlations_are_made_once(grafana: str) -> None:
    for _ in range(2):
        done = correlate(grafana)
        assert done.returncode == 0, done.stderr
    assert [made["label"] for made in Grafana.created] == ["Open the request", "Open the response"]
    assert Grafana.created[0]["config"] == json.loads(CORRELATIONS[0].read_text())["config"]
    assert Grafana.credentials == {"Basic YWRtaW46cGFzcyAid29yZA=="}


def test_refused_correlation_is_an_error(grafana: str) -> None:
    done = correlate(grafana, data_source="absent")

    assert done.returncode != 0
    assert "400" in done.stderr
    assert Grafana.created == []
