# SPDX-License-Identifier: Apache-2.0
"""Process facts, completed by what is known of their containers now, later, or never."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from otel_qtap.agent.privileges import limit_to
from otel_qtap.discovery.containers.answer import Answer, Query
from otel_qtap.discovery.containers.directory import Directory
from otel_qtap.discovery.containers.enquiry import Ways
from otel_qtap.discovery.containers.kubelet_access import KubeletAccess, kubelet_url
from otel_qtap.discovery.workload import CONTAINER_LABELS, identify
from otel_qtap.model.identity import ContainerFacts, ProcessFacts
from otel_qtap.settings import Settings


class Containers:
    """Joins facts of processes with those of their containers."""

    def __init__(
        self, directory: Directory, *, kubernetes_labels: bool = True, kept_labels: Collection[str] = ()
    ) -> None:
        self.directory = directory
        self._kubernetes_labels = kubernetes_labels
        self._kept_labels = tuple(kept_labels)

    def complete(self, facts: ProcessFacts) -> tuple[ProcessFacts, bool]:
        """The facts with all that is known of the container, and whether more may be known in a moment."""
        if not facts.container_id:
            return facts, False
        answer = self.directory.known(facts.container_id)
        if answer is not None:
            return self._joined(facts, answer), False
        container = facts.container or ContainerFacts()
        query = Query(facts.container_id, container.runtime, container.user_id, facts.pod is not None)
        return facts, self.directory.ask(query)

    def _joined(self, facts: ProcessFacts, answer: Answer) -> ProcessFacts:
        own = Answer(facts.container or ContainerFacts(), facts.pod)
        container, pod = answer.merged(own)
        return identify(
            replace(facts, container=container, pod=pod),
            kubernetes_labels=self._kubernetes_labels,
            container_labels=self._kept_labels,
        )


def new_containers(settings: Settings, excluded: Callable[[int], None]) -> Containers:
    """As the user wants it; ``excluded`` is told the PID of each process that goes out to ask."""
    chosen = settings.workloads
    sockets: Sequence[str] | None = tuple(map(str, chosen.sockets)) or None
    ways = Ways(
        sockets=sockets if chosen.runtimes else (),
        kubelet=_kubelet(settings),
        container_labels=frozenset((*CONTAINER_LABELS, *chosen.container_labels)),
        confine=lambda: limit_to(()),  # its user, and that user's groups, open the sockets
    )
    return Containers(
        Directory(ways, excluded),
        kubernetes_labels=chosen.kubernetes_labels,
        kept_labels=chosen.container_labels,
    )


def _kubelet(settings: Settings) -> KubeletAccess | None:
    chosen = settings.workloads
    url = {"auto": kubelet_url(), "none": ""}.get(chosen.kubelet, chosen.kubelet)
    if not url:
        return None
    return KubeletAccess(
        url=url, certificate=str(chosen.kubelet_certificate or ""), verify=chosen.kubelet_verify
    )
