# SPDX-License-Identifier: Apache-2.0
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otel_qtap.discovery.containers import directory as module
from otel_qtap.discovery.containers.answer import Query
from otel_qtap.discovery.containers.directory import Directory
from otel_qtap.discovery.containers.enquiry import Ways
from tests.support.waiting import eventually

ID, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def open_directory() -> Iterator[Callable[[Ways], Directory]]:
    opened: list[Directory] = []

    def new(ways: Ways) -> Directory:
        opened.append(Directory(ways))
        return opened[-1]

    yield new
    for directory in opened:
        directory.close()


def settled(directory: Directory) -> list[str]:
    """What became known until nobody is asking any more."""
    found: list[str] = []

    def done() -> bool:
        directory.tick()
        found.extend(directory.collect())
        return not directory.is_asking

    eventually(done, "the enquiry is over")
    return found


def page(engine: Any, identifier: str, name: str) -> None:
    engine.pages[f"/containers/{identifier}/json"] = {"Name": f"/{name}"}


def test_a_container_is_asked_for_once(open_directory: Callable[[Ways], Directory], engine: Any) -> None:
    page(engine, ID, "web")
    directory = open_directory(Ways(sockets=[engine.path]))
    assert directory.known(ID) is None
    assert directory.ask(Query(ID))
    assert settled(directory) == [ID]
    answer = directory.known(ID)
    assert answer
    assert answer.container.name == "web"
    assert not directory.ask(Query(ID))
    assert settled(directory) == []
    assert len(engine.asked) == 1


def test_containers_that_come_meanwhile_are_asked_for_together(
    open_directory: Callable[[Ways], Directory], engine: Any
) -> None:
    engine.hold.clear()
    directory = open_directory(Ways(sockets=[engine.path]))
    identifiers = [f"{number:064x}" for number in range(20)]
    for identifier in identifiers:
        page(engine, identifier, "web")
        assert directory.ask(Query(identifier))
    engine.hold.set()
    found: list[str] = []
    eventually(lambda: found.extend(settled(directory)) or len(found) == 20, "all are known")
    assert sorted(found) == identifiers


def test_a_container_that_is_not_known_yet_is_asked_for_once_more(
    open_directory: Callable[[Ways], Directory], engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 1.0)
    directory = open_directory(Ways(sockets=[engine.path]))
    directory.ask(Query(ID))
    assert settled(directory) == []
    page(engine, ID, "web")
    found: list[str] = []
    eventually(lambda: found.extend(settled(directory)) or found, "it is known at the second time")
    assert found == [ID]


def test_what_stays_unknown_is_left_alone(
    open_directory: Callable[[Ways], Directory], engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.0)
    directory = open_directory(Ways(sockets=[engine.path]))
    directory.ask(Query(ID))
    for _ in range(5):
        settled(directory)
    assert len(engine.asked) == 2
    assert not directory.ask(Query(ID))


def test_a_hung_runtime_keeps_nobody(
    open_directory: Callable[[Ways], Directory], engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.hold.clear()
    directory = open_directory(Ways(sockets=[engine.path]))
    monkeypatch.setattr(module, "LONGEST_SECONDS", -0.5)  # its parent's patience, here half a second
    began = time.monotonic()
    assert directory.ask(Query(ID))
    assert directory.collect() == []
    assert time.monotonic() - began < 0.3
    assert settled(directory) == []
    assert not directory.ask(Query(ID)), "no answer is to be expected soon"
    assert directory.known(ID) is None


def test_a_runtime_that_comes_back_is_asked_again(
    open_directory: Callable[[Ways], Directory],
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(module, "_UNREACHED_SECONDS", 0.1)
    page(engine, ID, "web")
    engine.hold.clear()
    directory = open_directory(Ways(sockets=[engine.path]))
    directory.ask(Query(ID))
    assert settled(directory) == []
    engine.hold.set()
    found: list[str] = []
    eventually(lambda: found.extend(settled(directory)) or found, "it is known")
    assert found == [ID]
    assert ["tells nothing" in caplog.messages[0], "again" in caplog.messages[-1]] == [True, True]
    assert len(caplog.messages) == 2


def test_nobody_is_sent_where_there_is_nobody_to_ask(
    open_directory: Callable[[Ways], Directory], tmp_path: Any
) -> None:
    for ways in (Ways(sockets=[]), Ways(sockets=[str(tmp_path / "absent.sock")])):
        directory = open_directory(ways)
        assert not directory.ask(Query(ID))
        assert not directory.is_asking


def test_memory_is_bounded(
    open_directory: Callable[[Ways], Directory], engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_CONTAINERS", 1)
    page(engine, ID, "web")
    page(engine, OTHER, "db")
    directory = open_directory(Ways(sockets=[engine.path]))
    directory.ask(Query(ID))
    settled(directory)
    directory.ask(Query(OTHER))
    settled(directory)
    assert directory.known(ID) is None
    assert directory.known(OTHER)
