# SPDX-License-Identifier: Apache-2.0
"""Payloads in a real S3 bucket: readable by strangers' tools, fetched by ranges, linked to their upload."""

from pathlib import Path

import pytest

from tests.support.agent import payload_get, running_agent
from tests.support.clients import request
from tests.support.collector import Collector
from tests.support.exchanges import path_of
from tests.support.payloads import self_describing
from tests.support.pki import Pki
from tests.support.s3server import running_s3_server
from tests.support.stored import parse_reference, read_member, read_segment
from tests.support.tls_servers import TlsServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

BUCKET = "qtap-payloads"


def test_payloads_go_to_the_bucket_and_come_back_by_their_reference(
    tmp_path: Path, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    bodies = {f"/echo/s3-{n}": self_describing(f"s3-{n}", 3000 + n) for n in range(5)}
    with running_s3_server(tmp_path) as s3:
        s3.client().create_bucket(Bucket=BUCKET)
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_QTAP_OBJECTS_URL": f"s3://{BUCKET}/captured",
            **s3.environment(),
        }
        with running_agent(tmp_path / "agent", settings) as agent:
            for path, body in bodies.items():
                request("http.client", "POST", cpython_server.url + path, pki.ca, body=body)
            spans = collector.wait_for_port(cpython_server.port, 10)
            uri = spans[0].body_reference("request")
            key = parse_reference(uri).url.removeprefix(f"s3://{BUCKET}/")
            eventually(lambda: key in s3.objects(BUCKET), "the segment is in the bucket")
            assert payload_get(agent, uri, "--body") == bodies[path_of(spans[0])]
            agent.stop()
        objects = s3.objects(BUCKET)

    assert all(key.startswith("captured/") and key.endswith(".warc.gz") for key in objects)
    for span in spans:
        for part in ("request", "response"):
            where = parse_reference(span.body_reference(part))
            member = objects[where.url.removeprefix(f"s3://{BUCKET}/")][where.first : where.last + 1]
            assert read_member(member).body == bodies[path_of(span)]
    # Whole segments too, as any reader of WARC files takes them.
    stored = [message for data in objects.values() for message in read_segment(data)]
    assert len(stored) >= 20

    uploads = {
        (span.trace_id, span.span_id): span
        for span in collector.telemetry().spans
        if span.attributes.get("aws.s3.bucket") == BUCKET
    }
    for span in spans:
        (link,) = span.links
        upload = uploads[link.trace_id, link.span_id]
        assert upload.kind == "client"
        assert upload.attributes["aws.s3.key"] in objects
        assert upload.attributes["aws.s3.key"] in span.body_reference("request")
        assert upload.resource["service.name"] != span.resource["service.name"]
