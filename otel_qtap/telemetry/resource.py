# SPDX-License-Identifier: Apache-2.0
"""Whose telemetry it is: the observed workload's resource and the agent's own.

The two never mix: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES of the agent describe the agent.
A workload's resource is small and stable, because backends key their series by it: what changes with
every process (pid, executable, user) stands on the span.
"""

import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from posixpath import basename

from otel_qtap import __version__
from otel_qtap.model.exchange import Attributes, AttributeValue
from otel_qtap.model.identity import ContainerFacts, PodFacts, ProcessFacts
from otel_qtap.telemetry import names
from otel_qtap.telemetry.otlp.attributes import RESOURCE_ATTRIBUTES, AttributeEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class HostIdentity:
    """The machine: its name, the content of /etc/machine-id, its architecture by the name of the conventions,
    its kind of operating system. Empty where not known."""

    name: str = ""
    id: str = ""
    arch: str = ""
    os_type: str = ""

    def attributes(self) -> Attributes:
        """``host.*`` and ``os.*`` resource attributes of what is known."""
        return _known(
            (
                (names.HOST_NAME, self.name),
                (names.HOST_ID, self.id),
                (names.HOST_ARCH, self.arch),
                (names.OS_TYPE, self.os_type),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentIdentity:
    """Who this agent is. ``resource_attributes`` are those of OTEL_RESOURCE_ATTRIBUTES, decoded."""

    service_name: str = "otel-qtap"
    service_instance_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    resource_attributes: Mapping[str, str] = field(default_factory=dict)
    process_id: int = field(default_factory=os.getpid)


_DISTRO: Mapping[str, AttributeValue] = {
    names.TELEMETRY_DISTRO_NAME: "otel-qtap",
    names.TELEMETRY_DISTRO_VERSION: __version__,
}


def agent_resource(agent: AgentIdentity, host: HostIdentity) -> Attributes:
    """Resource attributes of the agent's own metrics, logs and upload spans.

    The user's attributes win over what was found out; ``service.name`` is settled by the caller.
    """
    return {
        names.SERVICE_VERSION: __version__,
        names.SERVICE_INSTANCE_ID: agent.service_instance_id,
        **host.attributes(),
        names.PROCESS_PID: agent.process_id,
        **agent.resource_attributes,
        names.SERVICE_NAME: agent.service_name,
        **_DISTRO,
    }


def workload_resource(facts: ProcessFacts, host: HostIdentity) -> Attributes:
    """Resource attributes of an observed process.

    ``service.name`` is what the process calls itself, else ``unknown_service:<executable>`` as the
    specification has it for services without a name.
    """
    executable = basename(facts.executable) or facts.command
    unknown = f"unknown_service:{executable}" if executable else "unknown_service"
    known = dict(facts.declared)
    known[names.SERVICE_NAME] = facts.service_name or unknown
    return {
        **known,
        **_known(
            (
                (names.SERVICE_NAMESPACE, facts.service_namespace),
                (names.SERVICE_VERSION, facts.service_version),
                (names.SERVICE_INSTANCE_ID, facts.service_instance_id),
                (names.SYSTEMD_UNIT, facts.unit),
            )
        ),
        **_container(facts),
        **(_pod(facts.pod) if facts.pod else {}),
        **host.attributes(),
        **_DISTRO,
    }


def _container(facts: ProcessFacts) -> Attributes:
    container = facts.container or ContainerFacts()
    image, tag = split_image(container.image)
    return {
        **_known(
            (
                (names.CONTAINER_ID, facts.container_id),
                (names.CONTAINER_NAME, container.name),
                (names.CONTAINER_RUNTIME_NAME, container.runtime),
                (names.CONTAINER_IMAGE_NAME, image),
                (names.CONTAINER_IMAGE_TAGS, (tag,) if tag else ()),
                (names.CONTAINER_IMAGE_ID, container.image_id),
                (names.CONTAINER_IMAGE_REPO_DIGESTS, container.image_digests),
            )
        ),
        **{names.CONTAINER_LABEL_PREFIX + key: value for key, value in container.labels},
    }


def _pod(pod: PodFacts) -> Attributes:
    return _known(
        (
            (names.K8S_POD_UID, pod.uid),
            (names.K8S_POD_NAME, pod.name),
            (names.K8S_NAMESPACE_NAME, pod.namespace),
            (names.K8S_NODE_NAME, pod.node),
            (names.K8S_CONTAINER_NAME, pod.container),
            *(
                (names.K8S_OWNER_NAMES[kind], name)
                for kind, name in pod.owners
                if kind in names.K8S_OWNER_NAMES
            ),
        )
    )


def split_image(reference: str) -> tuple[str, str]:
    """Name and tag of ``registry:5000/shop/web:1.2@sha256:...``; where it is only an id, neither."""
    path = reference.partition("@")[0]
    directory, slash, last = path.rpartition("/")
    name, _, tag = last.partition(":")
    return ("", "") if name == "sha256" and not slash else (directory + slash + name, tag)


def _known(attributes: Iterable[tuple[str, AttributeValue]]) -> Attributes:
    return {name: value for name, value in attributes if value}


def resource_message(attributes: Attributes) -> bytes:
    """Encode a Resource message (opentelemetry/proto/resource/v1/resource.proto)."""
    return b"".join(AttributeEncoder(RESOURCE_ATTRIBUTES).fragments(attributes))
