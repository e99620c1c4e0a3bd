# SPDX-License-Identifier: Apache-2.0
"""The agent speaks TLS to collector and store, and never captures itself."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.agent import running_agent
from tests.support.clients import request
from tests.support.collector import running_collector
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.s3server import running_s3_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


def test_own_traffic_to_collector_and_bucket_is_not_captured(tmp_path: Path, nginx: Nginx, pki: Pki) -> None:
    with (
        running_collector(tmp_path / "collector", tls=pki) as collector,
        running_s3_server(tmp_path / "s3", tls=pki) as s3,
    ):
        s3.client().create_bucket(Bucket="own")
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(pki.ca),
            "OTEL_QTAP_OBJECTS_URL": "s3://own",
            **s3.environment(),
        }
        collector_port = urlsplit(collector.http_endpoint).port
        with running_agent(tmp_path / "agent", settings) as agent:
            request("curl", "GET", f"{nginx.url}/hello", pki.ca)
            # Somebody else's request to the collector is captured, so its port is not what is left out.
            request("curl", "GET", f"{collector.http_endpoint}/somebody", pki.ca)
            collector.wait_for_port(nginx.port, 2)
            collector.wait_for_port(collector_port or 0, 1)
            eventually(lambda: s3.objects("own"), "the segment was uploaded over TLS")
            own = set(agent.pids)
            agent.stop()
        spans = collector.telemetry().spans

    # Collector and store are captured, too, at their ends: but nothing of what we send them.
    to_collector = [span.attributes for span in spans if span.port == collector_port]
    assert {attributes.get("url.full", attributes.get("url.path")) for attributes in to_collector} == {
        f"{collector.http_endpoint}/somebody",
        "/somebody",
    }
    assert not [span for span in spans if span.attributes.get("process.pid") in own]
    assert not [span for span in spans if "otel-qtap/" in str(span.attributes.get("user_agent.original"))]
