# SPDX-License-Identifier: Apache-2.0
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_qtap.discovery.containers.answer import Query
from otel_qtap.discovery.containers.enquiry import Ways, start_enquiry

ID, OTHER = "a" * 64, "b" * 64
Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(10)
    yield ours, theirs
    ours.close()
    theirs.close()


def enquire(ends: Ends, ways: Ways, *queries: Query) -> list[dict[str, Any]]:
    """All messages of an enquiry."""
    ours, theirs = ends
    seen: list[int] = []
    pid = start_enquiry(ways, queries, theirs, seen.append)
    assert seen == [pid]
    assert os.waitpid(pid, 0)[1] == 0
    ours.setblocking(False)
    messages = []
    while True:
        try:
            messages.append(json.loads(ours.recv(1 << 17)))
        except BlockingIOError:
            return messages


def test_each_container_gets_its_answer_and_each_source_a_word(ends: Ends, engine: Any) -> None:
    engine.pages[f"/containers/{ID}/json"] = {"Name": "/web"}
    known, unknown, source = enquire(ends, Ways(sockets=[engine.path]), Query(ID, "podman"), Query(OTHER))
    assert (known["id"], known["container"]["name"], known["container"]["runtime"]) == (ID, "web", "podman")
    assert unknown == {"id": OTHER, "unreached": False}
    assert (engine.path in source["source"], source["error"]) == (True, "")


def test_who_does_not_answer_is_asked_once(ends: Ends, engine: Any) -> None:
    engine.hold.clear()
    first, second, source = enquire(ends, Ways(sockets=[engine.path]), Query(ID), Query(OTHER))
    assert first["unreached"] is second["unreached"] is True
    assert source["error"]


def test_who_refuses_is_named_with_the_reason(ends: Ends, tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    _, source = enquire(ends, Ways(sockets=[str(path)]), Query(ID))
    assert source == {"source": f"the container engine at {path}", "error": "Connection refused"}


def test_it_connects_to_nothing_before_it_is_excluded(ends: Ends, engine: Any) -> None:
    engine.pages[f"/containers/{ID}/json"] = {"Name": "/web"}
    held_back = []
    pid = start_enquiry(
        Ways(sockets=[engine.path]),
        [Query(ID)],
        ends[1],
        lambda child: held_back.append((child, list(engine.asked))),
    )
    os.waitpid(pid, 0)
    assert held_back == [(pid, [])]
    assert engine.asked
