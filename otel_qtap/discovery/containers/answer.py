# SPDX-License-Identifier: Apache-2.0
"""A question about a container, its answer, and what can answer."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from otel_qtap.discovery.environment import bounded
from otel_qtap.discovery.workload import ANNOTATION_PREFIX
from otel_qtap.model.identity import ContainerFacts, Pairs, PodFacts

MAX_TEXT = 256
MAX_REFERENCE = 512
"""Characters of a name, and of an image's reference."""
MAX_DIGESTS = 4


class Query(NamedTuple):
    """Which container, and what is known of who runs it."""

    container_id: str
    runtime: str = ""
    user_id: int | None = None
    in_pod: bool = False


class Answer(NamedTuple):
    """What was found out. Either part may be empty: a runtime may know of no pod, the kubelet of no image."""

    container: ContainerFacts
    pod: PodFacts | None

    def merged(self, other: "Answer") -> "Answer":
        """With what this one lacks taken from ``other``."""
        pod = self.pod and other.pod and _filled(self.pod, other.pod)
        return Answer(_filled(self.container, other.container), pod or self.pod or other.pod)


class Source(Protocol):
    """A runtime or a kubelet."""

    @property
    def name(self) -> str:
        """For the log."""

    def ask(self, query: Query) -> Answer | None:
        """What it knows; None if it does not know the container.

        Raises OSError when it cannot be reached or takes too long, ValueError when its answer is none.
        """


def text(of: object, key: str, most: int = MAX_TEXT) -> str:
    """A text of a JSON object, cut; empty where there is none, whatever else there is."""
    value = of.get(key) if isinstance(of, Mapping) else None
    return value[:most] if isinstance(value, str) else ""


def mapping(of: object, key: str) -> Mapping[str, Any]:
    """An object within a JSON object, empty where there is none."""
    value = of.get(key) if isinstance(of, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def texts(of: object, key: str, most: int) -> tuple[str, ...]:
    """A list of texts of a JSON object, cut."""
    value = of.get(key) if isinstance(of, Mapping) else None
    items = value if isinstance(value, list) else []
    return tuple(item[:MAX_REFERENCE] for item in items if isinstance(item, str))[:most]


def chosen(labels: Mapping[str, Any], wanted: Iterable[str]) -> Pairs:
    """Those of the labels that somebody wants."""
    return tuple(
        (key, value[:MAX_TEXT]) for key in wanted if isinstance(value := labels.get(key), str) and value
    )


def resource_annotations(annotations: Mapping[str, Any]) -> Pairs:
    """The annotations that set resource attributes, bounded."""
    size = len(ANNOTATION_PREFIX)
    named = {
        key[size:]: value
        for key, value in annotations.items()
        if key.startswith(ANNOTATION_PREFIX) and isinstance(value, str)
    }
    return tuple((ANNOTATION_PREFIX + key, value) for key, value in bounded(named))


def answer_of(message: Mapping[str, Any]) -> Answer:
    """An answer from its two parts as JSON has them."""
    container = container_facts(message["container"])
    return Answer(container or ContainerFacts(), pod_facts(message["pod"]))


def container_facts(fields: Mapping[str, Any] | None) -> ContainerFacts | None:
    """From the fields as JSON has them, lists for tuples."""
    return None if fields is None else ContainerFacts(**{name: _tuples(v) for name, v in fields.items()})


def pod_facts(fields: Mapping[str, Any] | None) -> PodFacts | None:
    """From the fields as JSON has them, lists for tuples."""
    return None if fields is None else PodFacts(**{name: _tuples(v) for name, v in fields.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _filled(first: Any, second: Any) -> Any:
    """The dataclass ``first`` with its empty fields from ``second``."""
    fields = {name: getattr(first, name) or getattr(second, name) for name in first.__slots__}
    return type(first)(**fields)
