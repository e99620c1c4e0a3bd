# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from otel_qtap.discovery.workload import identify, owners_of, tag_of_image, version_of_image
from otel_qtap.model.identity import ContainerFacts, PodFacts, ProcessFacts, ProcessId

ID = "0123456789abcdef" * 4
BARE = ProcessFacts(process=ProcessId(42, 1))
FULL = replace(
    BARE,
    command="comm",
    executable="/usr/bin/exe",
    unit="unit.service",
    declared=(("service.name", "declared"),),
    container_id=ID,
    container=ContainerFacts(
        name="container",
        image="shop/web:1.2",
        labels=(("com.docker.compose.service", "compose"), ("com.docker.swarm.service.name", "swarm")),
    ),
    pod=PodFacts(
        name="pod",
        namespace="ns",
        container="pod-container",
        owners=(("deployment", "owner"), ("replicaset", "owner-1")),
        labels=(("app.kubernetes.io/instance", "instance"), ("app.kubernetes.io/name", "name")),
        annotations=(("resource.opentelemetry.io/service.name", "annotated"),),
    ),
)


def without_pod_labels(facts: ProcessFacts, *kept: tuple[str, str]) -> ProcessFacts:
    assert facts.pod
    return replace(facts, pod=replace(facts.pod, labels=kept))


def test_the_order_in_which_a_service_is_named() -> None:
    facts, names = FULL, []

    def take(**changes: object) -> None:
        nonlocal facts
        names.append(identify(facts).service_name)
        facts = replace(facts, **changes)  # type: ignore[arg-type]

    assert facts.pod
    assert facts.container
    take(declared=())
    take(pod=replace(facts.pod, annotations=()))
    take(pod=replace(facts.pod, annotations=(), labels=facts.pod.labels[1:]))
    take(pod=replace(facts.pod, annotations=(), labels=()))
    take(pod=replace(facts.pod, annotations=(), labels=(), owners=()))
    take(pod=None)
    take(container=replace(facts.container, labels=facts.container.labels[1:]))
    take(container=replace(facts.container, labels=()))
    take(container=ContainerFacts())
    take(unit="")
    take(executable="")
    take(command="")
    take()
    assert names == [
        "declared", "annotated", "instance", "name", "owner", "pod-container", "compose", "swarm",
        "container", "unit", "exe", "comm", "unknown_service",
    ]  # fmt: skip


def test_well_known_labels_count_only_where_that_is_wanted() -> None:
    facts = replace(FULL, declared=(), pod=replace(FULL.pod or PodFacts(), annotations=()))
    assert identify(facts, kubernetes_labels=False).service_name == "owner"


@pytest.mark.parametrize(
    ("name", "labels", "deployment"),
    [
        ("web-7d4b9c6f58-x2x8k", (), "web"),
        ("web-shop-7d4b9c6f58-x2x8k", (("pod-template-hash", "7d4b9c6f58"),), "web-shop"),
        ("web-abc-x2x8k", (("pod-template-hash", "abc"),), "web"),
        ("node-exporter-x2x8k", (), ""),
        ("web-7d4b9c6f58-value", (), ""),
        ("db-0", (), ""),
        ("", (), ""),
    ],
)
def test_a_deployment_is_told_by_its_templates_hash(
    name: str, labels: tuple[tuple[str, str], ...], deployment: str
) -> None:
    pod = identify(replace(BARE, pod=PodFacts(name=name, labels=labels))).pod
    assert pod
    assert dict(pod.owners).get("deployment", "") == deployment


@pytest.mark.parametrize(
    ("kind", "name", "template_hash", "outermost"),
    [
        ("replicaset", "web-7d4b9c6f58", "7d4b9c6f58", ("deployment", "web")),
        ("replicaset", "by-hand", "7d4b9c6f58", ("replicaset", "by-hand")),
        ("replicaset", "web-7d4b9c6f58", "", ("replicaset", "web-7d4b9c6f58")),
        ("job", "backup-29384756", "", ("cronjob", "backup")),
        ("job", "migrate", "", ("job", "migrate")),
        ("statefulset", "db", "", ("statefulset", "db")),
    ],
)
def test_what_made_the_maker_of_a_pod(
    kind: str, name: str, template_hash: str, outermost: tuple[str, str]
) -> None:
    owners = owners_of(kind, name, template_hash)
    assert owners[0] == outermost
    assert owners[-1] == (kind, name)


def test_an_instance_is_a_container_of_a_pod_else_a_container() -> None:
    assert identify(FULL).service_instance_id == "ns.pod.pod-container"
    assert identify(replace(FULL, pod=PodFacts(name="pod"))).service_instance_id == ID
    assert identify(BARE).service_instance_id == ""


def test_namespace_of_a_pod_or_of_a_project() -> None:
    project = ContainerFacts(labels=(("com.docker.compose.project", "shop"),))
    assert identify(FULL).service_namespace == "ns"
    assert identify(replace(BARE, container=project)).service_namespace == "shop"
    assert identify(replace(FULL, declared=(("service.namespace", "own"),))).service_namespace == "own"


def test_version_of_labels_or_of_the_image() -> None:
    labelled = without_pod_labels(FULL, ("app.kubernetes.io/version", "3"))
    assert identify(labelled).service_version == "3"
    assert identify(FULL).service_version == "1.2"
    opencontainers = ContainerFacts(image="web:9", labels=(("org.opencontainers.image.version", "8"),))
    assert identify(replace(BARE, container=opencontainers)).service_version == "8"


def test_annotations_become_attributes_below_what_the_process_declares() -> None:
    annotations = (
        ("resource.opentelemetry.io/region", "annotated"),
        ("resource.opentelemetry.io/tier", "gold"),
        ("resource.opentelemetry.io/container.id", "f" * 64),
        ("unrelated", "x"),
    )
    facts = replace(BARE, declared=(("region", "declared"),), pod=PodFacts(annotations=annotations))
    assert dict(identify(facts).declared) == {"region": "declared", "tier": "gold"}


def test_labels_and_annotations_stay_behind_but_for_the_chosen_ones() -> None:
    facts = identify(FULL, container_labels=("com.docker.swarm.service.name", "absent"))
    assert facts.container
    assert facts.container.labels == (("com.docker.swarm.service.name", "swarm"),)
    assert facts.pod
    assert (facts.pod.labels, facts.pod.annotations) == ((), ())


@pytest.mark.parametrize(
    ("reference", "tag", "version"),
    [
        ("web", "", ""),
        ("web:latest", "latest", ""),
        ("registry.example:5000/shop/web", "", ""),
        ("registry.example:5000/shop/web:1.2", "1.2", "1.2"),
        ("web:1.2@sha256:ab", "1.2", "1.2@sha256:ab"),
        ("web@sha256:ab", "", "sha256:ab"),
        ("", "", ""),
    ],
)
def test_versions_of_images(reference: str, tag: str, version: str) -> None:
    assert (tag_of_image(reference), version_of_image(reference)) == (tag, version)
