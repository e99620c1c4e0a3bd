# SPDX-License-Identifier: Apache-2.0
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from otel_qtap.agent.containers import Containers, new_containers
from otel_qtap.discovery.containers.answer import Answer, Query
from otel_qtap.discovery.containers.directory import Directory
from otel_qtap.discovery.containers.enquiry import Ways
from otel_qtap.model.identity import ContainerFacts, PodFacts, ProcessFacts, ProcessId
from otel_qtap.settings import load_settings

ID = "a" * 64
FACTS = ProcessFacts(
    process=ProcessId(42, 1),
    container_id=ID,
    container=ContainerFacts(runtime="podman", user_id=1000),
    pod=PodFacts(uid="u"),
    service_name="curl",
)


class Told(Directory):
    """A directory that knows what the test says."""

    def __init__(self) -> None:
        super().__init__(Ways(sockets=()))
        self.answer: Answer | None = None
        self.queries: list[Query] = []

    def known(self, container_id: str) -> Answer | None:
        return self.answer

    def ask(self, query: Query) -> bool:
        self.queries.append(query)
        return True


def test_until_it_is_known_a_container_is_asked_for() -> None:
    told = Told()
    assert Containers(told).complete(FACTS) == (FACTS, True)
    assert told.queries == [Query(ID, "podman", 1000, in_pod=True)]


def test_what_is_known_is_joined_with_what_the_process_tells() -> None:
    told = Told()
    labels = (("team", "shop"), ("other", "x"))
    told.answer = Answer(ContainerFacts(name="web", labels=labels), PodFacts(name="web-1", namespace="ns"))
    facts, more = Containers(told, kept_labels=["team"]).complete(FACTS)
    assert not more
    assert facts.service_name == "web"
    assert facts.pod == PodFacts(uid="u", name="web-1", namespace="ns")
    assert facts.container == ContainerFacts(
        runtime="podman", user_id=1000, name="web", labels=(("team", "shop"),)
    )


def test_a_process_outside_of_containers_is_nobodys_business() -> None:
    told = Told()
    bare = replace(FACTS, container_id="", container=None)
    assert Containers(told).complete(bare) == (bare, False)
    assert told.queries == []


@pytest.mark.parametrize(("runtimes", "expected"), [("true", True), ("false", False)])
def test_runtimes_are_asked_only_where_the_user_lets_them(
    tmp_path: Path, runtimes: str, expected: bool
) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    settings = load_settings(
        {"OTEL_QTAP_WORKLOADS_SOCKETS": str(path), "OTEL_QTAP_WORKLOADS_RUNTIMES": runtimes}
    )
    containers = new_containers(settings, lambda _pid: None)
    assert containers.complete(FACTS)[1] is expected
    containers.directory.close()
