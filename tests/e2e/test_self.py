# SPDX-License-Identifier: Apache-2.0
"""The agent speaks TLS to collector and store, and captures neither itself nor others of its deployment."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.agent import payload_get, run_cli, running_agent
from tests.support.clients import request
from tests.support.collector import running_collector
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.s3server import running_s3_server
from tests.support.stored import read_segment
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


def test_commands_that_ask_the_store_are_no_traffic(tmp_path: Path, nginx: Nginx, pki: Pki) -> None:
    """They are other processes than the agent, as are agents on other hosts that upload to a store here."""
    with (
        running_collector(tmp_path / "collector") as collector,
        running_s3_server(tmp_path / "s3", tls=pki) as s3,
    ):
        s3.client().create_bucket(Bucket="own")
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_QTAP_OBJECTS_URL": "s3://own/captured",
            **s3.environment(),
        }
        with running_agent(tmp_path / "agent", settings) as agent:
            request("curl", "GET", f"{nginx.url}/hello", pki.ca)
            spans = collector.wait_for_port(nginx.port, 2)
            uri = spans[0].body_reference("response")
            eventually(lambda: s3.objects("own"), "the segment was uploaded over TLS")
            left_out = agent.metric("qtap_exchange_own_total")
            assert payload_get(agent, uri, "--body")
            run_cli("doctor", environment=agent.environment)
            # Both ends of the reading, and of the doctor's listing, writing and reading.
            eventually(
                lambda: agent.metric("qtap_exchange_own_total") >= left_out + 8, "the requests were counted"
            )
            assert any(key.endswith(".otel-qtap-doctor") for key in s3.objects("own"))
            agent.stop()
        spans = collector.telemetry().spans
        segments = [data for key, data in s3.objects("own").items() if key.endswith(".warc.gz")]

    assert not [span for span in spans if "otel-qtap/" in str(span.attributes.get("user_agent.original"))]
    stored = [message for data in segments for message in read_segment(data)]
    assert stored
    assert not [each for each in stored if "otel-qtap/" in each.http_fields.get("user-agent", "")]


def test_agents_do_not_store_each_others_uploads(tmp_path: Path, nginx: Nginx, pki: Pki) -> None:
    """Each sees the other's at both ends: what one of them stored would be news for the other, and so on."""
    with (
        running_collector(tmp_path / "collector") as collector,
        running_s3_server(tmp_path / "s3", tls=pki) as s3,
    ):
        s3.client().create_bucket(Bucket="own")
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_QTAP_OBJECTS_URL": "s3://own",
            **s3.environment(),
        }
        with (
            running_agent(tmp_path / "one", settings) as one,
            running_agent(tmp_path / "two", settings) as two,
        ):
            request("curl", "GET", f"{nginx.url}/hello", pki.ca)
            for agent in (one, two):
                eventually(
                    lambda agent=agent: agent.metric("qtap_exchange_own_total") >= 3,  # type: ignore[misc]
                    "the other's upload was seen from both ends, its own from the store's",
                )
            two.stop()
            one.stop()
        spans = collector.telemetry().spans
        segments = [data for key, data in s3.objects("own").items() if key.endswith(".warc.gz")]

    assert not [span for span in spans if "otel-qtap/" in str(span.attributes.get("user_agent.original"))]
    stored = [message for data in segments for message in read_segment(data)]
    assert stored
    assert not [each for each in stored if "otel-qtap/" in each.http_fields.get("user-agent", "")]
