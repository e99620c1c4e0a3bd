# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes Container Runtime Interface (runtime.v1) of containerd and CRI-O, over gRPC.

Of its two hundred messages the ones that are asked for here are declared, with the fields that are looked at.
Takes the extra ``grpc``, which is loaded only where such a socket is there.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from otel_qtap.discovery.containers.answer import (
    MAX_DIGESTS,
    MAX_REFERENCE,
    MAX_TEXT,
    Answer,
    Query,
    chosen,
    resource_annotations,
)
from otel_qtap.discovery.workload import POD_LABELS
from otel_qtap.model.identity import ContainerFacts, PodFacts

_SERVICE = "/runtime.v1.RuntimeService/"
_PACKAGE = "qtap.cri"

_MESSAGES: Mapping[str, Sequence[tuple[int, str, str]]] = {
    # Message: number, name and type of each field; a star means repeated.
    "Version": ((2, "runtime_name", ""),),
    "Filter": ((1, "id", ""),),
    "Request": ((1, "filter", "Filter"),),
    "Label": ((1, "key", ""), (2, "value", "")),
    "ContainerName": ((1, "name", ""),),
    "Image": ((1, "image", ""), (18, "user_specified_image", "")),
    "Container": (
        (1, "id", ""),
        (2, "pod_sandbox_id", ""),
        (3, "metadata", "ContainerName"),
        (4, "image", "Image"),
        (5, "image_ref", ""),
        (8, "labels", "*Label"),
    ),
    "Containers": ((1, "containers", "*Container"),),
    "SandboxName": ((1, "name", ""), (2, "uid", ""), (3, "namespace", "")),
    "Sandbox": (
        (1, "id", ""),
        (2, "metadata", "SandboxName"),
        (5, "labels", "*Label"),
        (6, "annotations", "*Label"),
    ),
    "Sandboxes": ((1, "items", "*Sandbox"),),
}


class Cri:
    """One runtime. ``seconds`` bounds each call of it, ``labels`` are the container's labels to keep.

    Raises ImportError where the extra is not installed.
    """

    def __init__(self, path: str, *, seconds: float, labels: Collection[str]) -> None:
        import grpc  # noqa: PLC0415

        self._grpc = grpc
        self._path = path
        self._seconds = seconds
        self._labels = labels
        self._messages = _message_classes()
        self._runtime = ""
        # Names no host, so that no proxy of the environment is asked for one.
        options = [("grpc.enable_http_proxy", 0), ("grpc.default_authority", "localhost")]
        self._channel = grpc.insecure_channel(f"unix://{path}", options=options)

    @property
    def name(self) -> str:
        """For the log."""
        return f"the container runtime at {self._path}"

    def ask(self, query: Query) -> Answer | None:
        """What it knows of a container. Raises OSError, ValueError."""
        container = self._one("ListContainers", "Containers", "containers", query.container_id)
        if container is None:
            return None
        sandbox = self._one("ListPodSandbox", "Sandboxes", "items", container.pod_sandbox_id)
        labels = _dictionary(container.labels)
        reference = container.image_ref[:MAX_REFERENCE]
        image = container.image.user_specified_image or container.image.image
        return Answer(
            ContainerFacts(
                runtime=query.runtime or self._own_name(),
                image=image[:MAX_REFERENCE],
                image_id=reference,
                image_digests=(reference,)[:MAX_DIGESTS] if "@" in reference else (),
                labels=chosen(labels, self._labels),
            ),
            None if sandbox is None else _pod(sandbox, container.metadata.name[:MAX_TEXT]),
        )

    def _one(self, method: str, response: str, field: str, identifier: str) -> Any:
        """The one container or sandbox with this id, or None."""
        request = self._messages["Request"](filter={"id": identifier})
        found = getattr(self._call(method, request, response), field)
        return next((one for one in found if one.id == identifier), None)

    def _own_name(self) -> str:
        if not self._runtime:
            version = self._call("Version", self._messages["Request"](), "Version")
            self._runtime = version.runtime_name[:MAX_TEXT]
        return self._runtime

    def _call(self, method: str, request: Any, response: str) -> Any:
        call = self._channel.unary_unary(
            _SERVICE + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=self._messages[response].FromString,
        )
        try:
            return call(request, timeout=self._seconds)
        except self._grpc.RpcError as error:
            raise OSError(0, f"gRPC status {error.code().name}") from None


def _pod(sandbox: Any, container: str) -> PodFacts:
    return PodFacts(
        uid=sandbox.metadata.uid[:MAX_TEXT],
        name=sandbox.metadata.name[:MAX_TEXT],
        namespace=sandbox.metadata.namespace[:MAX_TEXT],
        container=container,
        labels=chosen(_dictionary(sandbox.labels), POD_LABELS),
        annotations=resource_annotations(_dictionary(sandbox.annotations)),
    )


def _dictionary(labels: Any) -> dict[str, str]:
    return {label.key: label.value for label in labels}


def _message_classes() -> dict[str, Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415

    file = descriptor_pb2.FileDescriptorProto(name="qtap_cri.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for number, name, kind in fields:
            field = declared.field.add(name=name, number=number)
            field.label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
            field.type = field.TYPE_MESSAGE if kind else field.TYPE_STRING
            if kind:
                field.type_name = f".{_PACKAGE}.{kind.lstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }
