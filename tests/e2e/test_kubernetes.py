# SPDX-License-Identifier: Apache-2.0
"""The DaemonSet's security context is enough: the agent captures with its capabilities and nothing more."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.support.agent import running_agent
from tests.support.clients import request
from tests.support.collector import Collector
from tests.support.nginx import Nginx
from tests.support.pki import Pki

pytestmark = pytest.mark.e2e

MANIFEST = Path(__file__).parents[2] / "docker" / "kubernetes" / "agent.yaml"
TRACEFS = Path("/sys/kernel/tracing")


def confined() -> Sequence[str]:
    """A command that runs another as the container runtime would."""
    documents = list(yaml.safe_load_all(MANIFEST.read_text()))
    (pod,) = (item["spec"]["template"]["spec"] for item in documents if item["kind"] == "DaemonSet")
    (container,) = pod["containers"]
    added = container["securityContext"]["capabilities"]["add"]
    bounding = ",".join(["-all", *(f"+{name.lower()}" for name in added)])
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    return ("setpriv", "--no-new-privs", f"--bounding-set={bounding}", "--inh-caps=-all")


def test_agent_captures_within_the_security_context(
    tmp_path: Path, collector: Collector, nginx: Nginx, pki: Pki
) -> None:
    if not (TRACEFS / "events").is_dir():  # a node's host has it mounted
        subprocess.run(["mount", "-t", "tracefs", "tracefs", str(TRACEFS)], check=True)
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}

    with running_agent(tmp_path, settings, wrapper=confined()) as agent:
        request("curl", "GET", f"{nginx.url}/hello", pki.ca)
        spans = collector.wait_for_port(nginx.port, 2)
        agent.stop()

    assert {span.kind for span in spans} == {"client", "server"}
    assert all(span.attributes["qtap.capture.complete"] for span in spans)
