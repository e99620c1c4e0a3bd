# SPDX-License-Identifier: Apache-2.0
"""Whose telemetry it is: the observed workload's resource and the agent's own.

The two never mix: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES of the agent describe the agent.
A workload's resource is small and stable, because backends key their series by it: what changes with
every process (pid, executable, user) stands on the span.
"""

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import basename

from otel_qtap import __version__
from otel_qtap.model.exchange import Attributes, AttributeValue
from otel_qtap.model.identity import ProcessFacts
from otel_qtap.telemetry import names
from otel_qtap.telemetry.otlp.attributes import RESOURCE_ATTRIBUTES, AttributeEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class HostIdentity:
    """The machine: its name, and the content of /etc/machine-id (empty if there is none)."""

    name: str = ""
    id: str = ""

    def attributes(self) -> Attributes:
        """``host.*`` resource attributes of what is known."""
        known: Attributes = {}
        if self.name:
            known[names.HOST_NAME] = self.name
        if self.id:
            known[names.HOST_ID] = self.id
        return known


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
    known: Attributes = {names.SERVICE_NAME: facts.service_name or unknown}
    if facts.service_namespace:
        known[names.SERVICE_NAMESPACE] = facts.service_namespace
    if facts.service_version:
        known[names.SERVICE_VERSION] = facts.service_version
    if facts.container_id:
        known[names.CONTAINER_ID] = facts.container_id
    known.update(host.attributes())
    known.update(_DISTRO)
    return known


def resource_message(attributes: Attributes) -> bytes:
    """Encode a Resource message (opentelemetry/proto/resource/v1/resource.proto)."""
    return b"".join(AttributeEncoder(RESOURCE_ATTRIBUTES).fragments(attributes))
