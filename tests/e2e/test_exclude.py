# SPDX-License-Identifier: Apache-2.0
"""Which processes are captured: include and exclude selectors."""

from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.clients import request
from tests.support.collector import running_collector
from tests.support.nginx import Nginx
from tests.support.pki import Pki

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({"OTEL_QTAP_CAPTURE_EXCLUDE": "curl"}, ["server"]),
        ({"OTEL_QTAP_CAPTURE_EXCLUDE": "comm=nginx"}, ["client"]),
        ({"OTEL_QTAP_CAPTURE_EXCLUDE": "exe=/usr/*bin/*"}, []),
        ({"OTEL_QTAP_CAPTURE_INCLUDE": "exe=*/curl"}, ["client"]),
        ({"OTEL_QTAP_CAPTURE_INCLUDE": "nginx,curl", "OTEL_QTAP_CAPTURE_EXCLUDE": "nginx"}, ["client"]),
    ],
    ids=str,
)
def test_only_selected_processes_are_captured(
    settings: dict[str, str], kinds: list[str], tmp_path: Path, nginx: Nginx, pki: Pki
) -> None:
    with running_collector(tmp_path / "collector") as collector:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}
        with running_agent(tmp_path / "agent", {**endpoint, **settings}) as agent:
            request("curl", "GET", f"{nginx.url}/hello", pki.ca)
            agent.stop()
        assert [span.kind for span in collector.telemetry().on_port(nginx.port)] == kinds
