# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import asdict

from otel_qtap.discovery.containers.answer import Answer, answer_of, resource_annotations
from otel_qtap.model.identity import ContainerFacts, PodFacts

RUNTIME = Answer(ContainerFacts(runtime="containerd", image="web:1", labels=(("a", "b"),)), None)
KUBELET = Answer(
    ContainerFacts(image="web:2", image_id="sha256:ab"),
    PodFacts(uid="u", owners=(("deployment", "web"),)),
)


def test_what_one_lacks_another_fills() -> None:
    container, pod = RUNTIME.merged(KUBELET)
    assert (container.runtime, container.image, container.image_id) == ("containerd", "web:1", "sha256:ab")
    assert pod == KUBELET.pod
    named = Answer(ContainerFacts(), PodFacts(name="web-1", uid="v"))
    assert named.merged(KUBELET).pod == PodFacts(uid="v", name="web-1", owners=(("deployment", "web"),))


def test_an_answer_survives_json() -> None:
    for answer in (RUNTIME, KUBELET):
        pod = answer.pod and asdict(answer.pod)
        message = json.loads(json.dumps({"container": asdict(answer.container), "pod": pod}))
        assert answer_of(message) == answer


def test_annotations_that_set_attributes() -> None:
    annotations = {
        "resource.opentelemetry.io/region": "eu",
        "resource.opentelemetry.io/container.id": "x",
        "resource.opentelemetry.io/odd": 5,
        "kubernetes.io/config": "x",
    }
    assert resource_annotations(annotations) == (("resource.opentelemetry.io/region", "eu"),)
