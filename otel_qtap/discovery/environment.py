# SPDX-License-Identifier: Apache-2.0
"""What a process's environment says of its service and its pod. Nothing else of it is looked at or kept."""

from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

from otel_qtap.model.identity import Pairs, PodFacts

MAX_DECLARED = 32
MAX_KEY = 128
MAX_VALUE = 256
"""Bounds of declared attributes: how many, and the characters of each key and value."""

_OURS = ("telemetry.", "process.", "host.", "os.")
"""Not taken from the declaration: this agent makes the telemetry, and sees process and machine itself."""
_OBSERVED = frozenset({"container.id", "k8s.pod.uid"})
"""Taken from the kernel alone: a process may call itself what it likes, but not be another container."""

_POD_VARIABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "name": ("POD_NAME", "K8S_POD_NAME", "MY_POD_NAME", "OTEL_RESOURCE_ATTRIBUTES_POD_NAME"),
        "namespace": ("POD_NAMESPACE", "K8S_NAMESPACE", "K8S_POD_NAMESPACE", "MY_POD_NAMESPACE"),
        "node": ("NODE_NAME", "K8S_NODE_NAME", "MY_NODE_NAME", "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME"),
    }
)
"""Under which names pod specifications usually put what the downward API gives."""
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_CONTAINER_HOST_NAME = "HOSTNAME"
_DECLARED = ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES")
_WANTED = frozenset(
    {_IN_CLUSTER, _CONTAINER_HOST_NAME, *_DECLARED, *(v for names in _POD_VARIABLES.values() for v in names)}
)


class Environment(NamedTuple):
    """The variables of interest, those that are set and not empty."""

    variables: Mapping[str, str]

    @property
    def declared(self) -> Pairs:
        """Resource attributes, bounded; ``service.name`` is OTEL_SERVICE_NAME's where that is set."""
        attributes = resource_attributes(self.variables.get("OTEL_RESOURCE_ATTRIBUTES", ""))
        name = self.variables.get("OTEL_SERVICE_NAME", "").strip()
        return bounded({**attributes, "service.name": name} if name else attributes)

    def pod(self, uid: str, host_name: str) -> PodFacts | None:
        """The pod of a process in a container; None where nothing hints at one.

        A container's host name is its pod's name, unless the pod shares the machine's: ``host_name``.
        """
        if not uid and _IN_CLUSTER not in self.variables:
            return None
        found = {field: self._first(names) for field, names in _POD_VARIABLES.items()}
        own_name = self.variables.get(_CONTAINER_HOST_NAME, "")
        if not found["name"] and own_name != host_name:
            found["name"] = own_name
        return PodFacts(
            uid=uid,
            name=found["name"][:MAX_VALUE],
            namespace=found["namespace"][:MAX_VALUE],
            node=found["node"][:MAX_VALUE],
        )

    def _first(self, names: tuple[str, ...]) -> str:
        return next((self.variables[name] for name in names if name in self.variables), "")


def read_environment(raw: bytes) -> Environment:
    """From the content of /proc/PID/environ; the last of several variables of one name counts."""
    variables = {}
    for entry in raw.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and value:
            text = name.decode("utf-8", "replace")
            if text in _WANTED:
                variables[text] = value.decode("utf-8", "replace")
    return Environment(variables)


def bounded(attributes: Mapping[str, str]) -> Pairs:
    """Of declared resource attributes those that may be declared, service attributes first, cut."""
    kept = (
        (key, value[:MAX_VALUE])
        for key, value in sorted(attributes.items(), key=lambda item: not item[0].startswith("service."))
        if value and 0 < len(key) <= MAX_KEY and not key.startswith(_OURS) and key not in _OBSERVED
    )
    return tuple(islice(kept, MAX_DECLARED))


def resource_attributes(text: str) -> dict[str, str]:
    """``key=value,...``, percent-decoded; none at all when any of it is malformed (as the resource
    SDK specification asks)."""
    attributes = {}
    for item in text.split(","):
        if not item.strip():
            continue
        key, found, value = item.partition("=")
        if not found:
            return {}
        try:
            attributes[unquote(key.strip(), errors="strict")] = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            return {}
    return attributes
