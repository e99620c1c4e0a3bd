# SPDX-License-Identifier: Apache-2.0
"""What a real containerd tells of a pod's container, over the interface that a kubelet uses."""

import socket
from pathlib import Path

import pytest

from otel_qtap.discovery.containers.answer import Query
from otel_qtap.discovery.containers.cri import Cri
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.model.identity import PodFacts
from tests.support.containerd import IMAGE, running_containerd, running_pod

pytestmark = pytest.mark.containers

POD_UID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"


def test_a_container_of_a_pod(tmp_path: Path) -> None:
    with (
        running_containerd(tmp_path / "containerd") as containerd,
        running_pod(
            containerd,
            name="web-7d4b9c6f58-x2x8k",
            namespace="shop",
            uid=POD_UID,
            container="server",
            labels={"app.kubernetes.io/name": "web", "pod-template-hash": "7d4b9c6f58", "other": "x"},
            annotations={"resource.opentelemetry.io/region": "eu", "other": "x"},
            environment={"POD_NAMESPACE": "from the downward API"},
        ) as pod,
    ):
        cri = Cri(str(containerd.socket), seconds=5, labels=("io.kubernetes.pod.name",))
        answer = cri.ask(Query(pod.container_id, "containerd"))
        unknown = cri.ask(Query("f" * 64, "containerd"))
        facts = ProcessReader(host_name=socket.gethostname()).facts(pod.pid)

    assert facts
    assert facts.container_id == pod.container_id
    assert facts.pod == PodFacts(uid=POD_UID, namespace="from the downward API")
    assert facts.service_name == "sleep"
    assert unknown is None
    assert answer
    assert answer.pod
    assert (answer.pod.name, answer.pod.namespace) == ("web-7d4b9c6f58-x2x8k", "shop")
    assert (answer.pod.uid, answer.pod.container) == (POD_UID, "server")
    assert dict(answer.pod.labels) == {"app.kubernetes.io/name": "web", "pod-template-hash": "7d4b9c6f58"}
    assert dict(answer.pod.annotations) == {"resource.opentelemetry.io/region": "eu"}
    assert answer.container.runtime == "containerd"
    assert answer.container.image == IMAGE
    assert answer.container.image_id.startswith("sha256:")
