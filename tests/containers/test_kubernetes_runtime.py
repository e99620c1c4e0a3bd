# SPDX-License-Identifier: Apache-2.0
"""A process in a pod of a real containerd, told of by that runtime over the interface that a kubelet uses."""

from pathlib import Path

import pytest

from tests.support.agent import running_agent
from tests.support.collector import running_collector
from tests.support.containerd import IMAGE, running_containerd, running_pod
from tests.support.exchanges import path_of
from tests.support.otlp_records import Span
from tests.support.pki import Pki
from tests.support.tls_servers import running_cpython_server

pytestmark = pytest.mark.containers

UID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
NAME = "web-7d4b9c6f58-x2x8k"


def is_the_pods(span: Span) -> bool:
    return span.kind == "client" and path_of(span) == "/pod" and "k8s.pod.name" in span.resource


def test_a_pods_request_has_the_pods_identity(tmp_path: Path, pki: Pki) -> None:
    with (
        running_collector(tmp_path / "collector") as collector,
        running_cpython_server(pki) as server,
        running_containerd(tmp_path / "containerd") as containerd,
    ):
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint,
            "OTEL_QTAP_WORKLOADS_SOCKETS": str(containerd.socket),
        }
        curl = f"curl --silent --cacert /ca.pem {server.url}/pod"
        with (
            running_agent(tmp_path / "agent", settings),
            running_pod(
                containerd,
                name=NAME,
                namespace="shop",
                uid=UID,
                container="server",
                labels={"app.kubernetes.io/name": "web", "pod-template-hash": "7d4b9c6f58", "other": "x"},
                annotations={"resource.opentelemetry.io/region": "eu", "other": "x"},
                environment={"NODE_NAME": "node-7"},
                command=["sh", "-c", f"while :; do {curl}; sleep 0.2; done"],
                # The machine's own programs, whose TLS library is probed before the first of them starts.
                mounts={"/usr": "/usr", "/ca.pem": str(pki.ca)},
            ) as pod,
        ):
            resource = collector.wait_for_spans(1, is_the_pods, seconds=30)[-1].resource

    known = {name: resource[name] for name in resource if name.startswith(("k8s.", "service.", "container."))}
    image_id = known.pop("container.image.id")
    assert image_id.startswith("sha256:")
    assert known == {
        "k8s.pod.uid": UID,
        "k8s.pod.name": NAME,
        "k8s.namespace.name": "shop",
        "k8s.node.name": "node-7",
        "k8s.container.name": "server",
        "k8s.deployment.name": "web",
        "k8s.replicaset.name": "web-7d4b9c6f58",
        "container.id": pod.container_id,
        "container.runtime.name": "containerd",
        "container.image.name": IMAGE.rpartition(":")[0],
        "container.image.tags": ["2.1"],
        "service.name": "web",
        "service.namespace": "shop",
        "service.version": "2.1",
        "service.instance.id": f"shop.{NAME}.server",
    }
    assert resource["region"] == "eu"
    assert "other" not in str(resource)
