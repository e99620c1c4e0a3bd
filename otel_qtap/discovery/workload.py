# SPDX-License-Identifier: Apache-2.0
"""How an observed process's service is named, from all that is known. docs/workloads.md tells the order.

In Kubernetes it is that of the semantic conventions (non-normative, "Populating resource attributes in
Kubernetes"), but for the pod's name, which is another one after every restart.
"""

import re
from collections.abc import Collection
from dataclasses import replace

from otel_qtap.discovery.environment import bounded
from otel_qtap.model.identity import ContainerFacts, Pairs, PodFacts, ProcessFacts

ANNOTATION_PREFIX = "resource.opentelemetry.io/"
INSTANCE_LABEL = "app.kubernetes.io/instance"
NAME_LABEL = "app.kubernetes.io/name"
VERSION_LABEL = "app.kubernetes.io/version"
TEMPLATE_HASH_LABEL = "pod-template-hash"
COMPOSE_SERVICE_LABEL = "com.docker.compose.service"
COMPOSE_PROJECT_LABEL = "com.docker.compose.project"
SWARM_SERVICE_LABEL = "com.docker.swarm.service.name"
IMAGE_VERSION_LABEL = "org.opencontainers.image.version"
POD_LABELS = (INSTANCE_LABEL, NAME_LABEL, VERSION_LABEL, TEMPLATE_HASH_LABEL)
CONTAINER_LABELS = (COMPOSE_SERVICE_LABEL, COMPOSE_PROJECT_LABEL, SWARM_SERVICE_LABEL, IMAGE_VERSION_LABEL)
"""The labels that are looked at here."""

_NEUTRAL_TAGS = frozenset({"", "latest"})
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
"""The letters from which Kubernetes makes suffixes, so that they never spell a word."""
_OF_CRON_JOB = re.compile(r"(.+)-[0-9]{8,10}")
_OF_DEPLOYMENT = re.compile(rf"(?P<name>.+)-(?P<hash>{_SAFE}{{8,10}})-{_SAFE}{{5}}")


def identify(
    facts: ProcessFacts, *, kubernetes_labels: bool = True, container_labels: Collection[str] = ()
) -> ProcessFacts:
    """``facts`` with the service named from the others among them.

    ``kubernetes_labels`` says whether well-known labels (``app.kubernetes.io/*``) count. Of the container's
    labels only ``container_labels`` are kept, of the pod's labels and annotations none: they did their work.
    """
    declared = dict(facts.declared)
    container = facts.container or ContainerFacts()
    labels = dict(container.labels)
    pod = _with_owners(facts.pod) if facts.pod else None
    annotated = _annotated(pod)
    pod_labels = dict(pod.labels) if pod and kubernetes_labels else {}
    return replace(
        facts,
        container=facts.container
        and replace(container, labels=tuple((key, labels[key]) for key in container_labels if key in labels)),
        pod=pod and replace(pod, labels=(), annotations=()),
        declared=bounded({**annotated, **declared}),
        service_name=declared.get("service.name")
        or annotated.get("service.name")
        or pod_labels.get(INSTANCE_LABEL)
        or pod_labels.get(NAME_LABEL)
        or (pod and next((name for _, name in pod.owners), pod.container))
        or labels.get(COMPOSE_SERVICE_LABEL)
        or labels.get(SWARM_SERVICE_LABEL)
        or container.name
        or facts.unit.removesuffix(".service")
        or facts.executable.rpartition("/")[2]
        or facts.command
        or "unknown_service",
        service_namespace=declared.get("service.namespace")
        or annotated.get("service.namespace")
        or (pod.namespace if pod else "")
        or labels.get(COMPOSE_PROJECT_LABEL, ""),
        service_version=declared.get("service.version")
        or annotated.get("service.version")
        or pod_labels.get(VERSION_LABEL)
        or labels.get(IMAGE_VERSION_LABEL)
        or version_of_image(container.image),
        service_instance_id=declared.get("service.instance.id")
        or annotated.get("service.instance.id")
        or _instance(pod)
        or facts.container_id,
    )


def version_of_image(reference: str) -> str:
    """``tag@digest``, ``digest`` or ``tag`` of an image's reference; empty where it tells no version."""
    name, _, digest = reference.partition("@")
    tag = tag_of_image(name)
    known = "" if tag in _NEUTRAL_TAGS else tag
    return f"{known}@{digest}" if known and digest else known or digest


def tag_of_image(reference: str) -> str:
    """``1.2`` of ``registry.example:5000/shop/web:1.2@sha256:...``, or empty."""
    last = reference.partition("@")[0].rpartition("/")[2]
    return last.partition(":")[2]


def _annotated(pod: PodFacts | None) -> dict[str, str]:
    """Resource attributes that the pod's annotations set."""
    if pod is None:
        return {}
    prefix = len(ANNOTATION_PREFIX)
    return {key[prefix:]: value for key, value in pod.annotations if key.startswith(ANNOTATION_PREFIX)}


def _instance(pod: PodFacts | None) -> str:
    if pod is None or not (pod.namespace and pod.name and pod.container):
        return ""
    return f"{pod.namespace}.{pod.name}.{pod.container}"


def _with_owners(pod: PodFacts) -> PodFacts:
    """A pod with the deployment that made it, where its template's hash tells.

    The hash stands in a label, and in the pod's name as well: there it is taken for one only where both
    suffixes of the name consist of the letters of which Kubernetes makes them.
    """
    if pod.owners:
        return pod
    label = dict(pod.labels).get(TEMPLATE_HASH_LABEL, "")
    if label and f"-{label}-" in pod.name:
        replica_set = pod.name.rpartition("-")[0]
        return replace(pod, owners=owners_of("replicaset", replica_set, label))
    if found := _OF_DEPLOYMENT.fullmatch(pod.name):
        replica_set = f"{found['name']}-{found['hash']}"
        return replace(pod, owners=owners_of("replicaset", replica_set, found["hash"]))
    return pod


def owners_of(kind: str, name: str, template_hash: str) -> Pairs:
    """What made a pod, the outermost first, from what made it directly.

    A deployment names its replica sets by the hash of its template, a cron job its jobs by their time.
    """
    direct = (kind, name)
    if kind == "replicaset" and template_hash and name.endswith(f"-{template_hash}"):
        return (("deployment", name.removesuffix(f"-{template_hash}")), direct)
    if kind == "job" and (of_cron_job := _OF_CRON_JOB.fullmatch(name)):
        return (("cronjob", of_cron_job[1]), direct)
    return (direct,)
