# SPDX-License-Identifier: Apache-2.0
"""The Docker Engine API over a Unix socket, as Docker and Podman serve it (API 1.24 and later)."""

import http.client
import socket
from collections.abc import Collection, Mapping
from typing import Any

from otel_qtap.discovery.containers.answer import (
    MAX_DIGESTS,
    MAX_REFERENCE,
    Answer,
    Query,
    chosen,
    mapping,
    text,
    texts,
)
from otel_qtap.discovery.containers.http_json import StatusError, get_json
from otel_qtap.model.identity import ContainerFacts, PodFacts

_MAX_BYTES = 4 << 20


class EngineApi:
    """One engine. ``seconds`` bounds each wait for it, ``labels`` are the container's labels to keep."""

    def __init__(self, path: str, *, seconds: float, labels: Collection[str]) -> None:
        self._path = path
        self._seconds = seconds
        self._labels = labels
        self._digests: dict[str, tuple[str, ...]] = {}

    @property
    def name(self) -> str:
        """For the log."""
        return f"the container engine at {self._path}"

    def ask(self, query: Query) -> Answer | None:
        """What it knows of a container. Raises OSError, ValueError."""
        found = self._get(f"/containers/{query.container_id}/json")
        if found is None:
            return None
        configuration = mapping(found, "Config")
        labels = mapping(configuration, "Labels")
        image_id = text(found, "Image")
        return Answer(
            ContainerFacts(
                runtime=query.runtime,
                name=text(found, "Name").removeprefix("/"),
                image=text(configuration, "Image", MAX_REFERENCE),
                image_id=image_id,
                image_digests=self._image_digests(image_id),
                labels=chosen(labels, self._labels),
            ),
            _pod(labels),
        )

    def _image_digests(self, image_id: str) -> tuple[str, ...]:
        if not image_id:
            return ()
        known = self._digests.get(image_id)
        if known is None:
            known = texts(self._get(f"/images/{image_id}/json"), "RepoDigests", MAX_DIGESTS)
            self._digests[image_id] = known
        return known

    def _get(self, path: str) -> Any:
        """The JSON at ``path``; None where the engine knows nothing of that name."""
        try:
            return get_json(_UnixConnection(self._path, self._seconds), path, {}, _MAX_BYTES)
        except StatusError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise


def _pod(labels: Mapping[str, Any]) -> PodFacts | None:
    """From what Kubernetes puts on containers that it runs through an engine (cri-dockerd)."""
    uid = text(labels, "io.kubernetes.pod.uid")
    if not uid:
        return None
    return PodFacts(
        uid=uid,
        name=text(labels, "io.kubernetes.pod.name"),
        namespace=text(labels, "io.kubernetes.pod.namespace"),
        container=text(labels, "io.kubernetes.container.name"),
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
