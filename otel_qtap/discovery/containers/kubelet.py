# SPDX-License-Identifier: Apache-2.0
"""The pods of this node, from the kubelet's own list of them (GET /pods)."""

import http.client
import ssl
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from otel_qtap.discovery.containers.answer import (
    MAX_DIGESTS,
    MAX_REFERENCE,
    Answer,
    Query,
    chosen,
    mapping,
    resource_annotations,
    text,
)
from otel_qtap.discovery.containers.http_json import StatusError, get_json
from otel_qtap.discovery.containers.kubelet_access import PORT, SERVICE_ACCOUNT, KubeletAccess
from otel_qtap.discovery.workload import owners_of
from otel_qtap.model.identity import ContainerFacts, Pairs, PodFacts

_MAX_BYTES = 32 << 20
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


class Kubelet:
    """One kubelet, asked once for all its pods. ``seconds`` bounds each wait for it."""

    def __init__(
        self,
        access: KubeletAccess,
        *,
        seconds: float,
        labels: Collection[str],
        account: Path = SERVICE_ACCOUNT,
    ) -> None:
        self._access = access
        self._seconds = seconds
        self._labels = labels
        self._account = account
        self._found: dict[str, Answer] | None = None

    @property
    def name(self) -> str:
        """For the log."""
        return f"the kubelet at {self._access.url}"

    def ask(self, query: Query) -> Answer | None:
        """The pod of a container. Raises OSError, ValueError."""
        if self._found is None:
            self._found = dict(self._containers(self._pods()))
        return self._found.get(query.container_id)

    def _pods(self) -> Any:
        connection, headers = self._connection()
        try:
            return get_json(connection, "/pods", headers, _MAX_BYTES)
        except StatusError as error:
            if error.status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
                refusal = "it refuses the service account, which needs get on nodes/proxy"
                raise PermissionError(0, refusal) from None
            raise
        except ssl.SSLCertVerificationError:
            raise PermissionError(0, "its certificate is signed by none of the trusted authorities") from None

    def _connection(self) -> tuple[http.client.HTTPConnection, dict[str, str]]:
        parts = urlsplit(self._access.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port or PORT, timeout=self._seconds), {}
        certificate = self._access.certificate or str(self._account / "ca.crt")
        context = ssl.create_default_context(cafile=certificate if self._access.verify else None)
        if not self._access.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        token = (self._account / "token").read_text(encoding="ascii").strip()
        connection = http.client.HTTPSConnection(
            host, parts.port or PORT, timeout=self._seconds, context=context
        )
        return connection, {"Authorization": f"Bearer {token}"}

    def _containers(self, pods: Any) -> Iterator[tuple[str, Answer]]:
        for item in _items(pods, "items"):
            metadata, status = mapping(item, "metadata"), mapping(item, "status")
            labels = mapping(metadata, "labels")
            for state in (state for name in _STATUSES for state in _items(status, name)):
                runtime, _, identifier = text(state, "containerID").partition("://")
                image_id = text(state, "imageID", MAX_REFERENCE)
                yield (
                    identifier,
                    Answer(
                        ContainerFacts(
                            runtime=runtime,
                            image=text(state, "image", MAX_REFERENCE),
                            image_id=image_id,
                            image_digests=(image_id,)[:MAX_DIGESTS] if "@" in image_id else (),
                        ),
                        PodFacts(
                            uid=text(metadata, "uid"),
                            name=text(metadata, "name"),
                            namespace=text(metadata, "namespace"),
                            node=text(mapping(item, "spec"), "nodeName"),
                            container=text(state, "name"),
                            owners=_owners(metadata, labels),
                            labels=chosen(labels, self._labels),
                            annotations=resource_annotations(mapping(metadata, "annotations")),
                        ),
                    ),
                )


def _owners(metadata: Mapping[str, Any], labels: Mapping[str, Any]) -> Pairs:
    for reference in _items(metadata, "ownerReferences"):
        if reference.get("controller") is True:
            kind = text(reference, "kind").lower()
            return owners_of(kind, text(reference, "name"), text(labels, "pod-template-hash"))
    return ()


def _items(of: object, key: str) -> list[Mapping[str, Any]]:
    value = of.get(key) if isinstance(of, Mapping) else None
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
