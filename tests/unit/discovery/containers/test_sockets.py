# SPDX-License-Identifier: Apache-2.0
import os
import socket
from pathlib import Path

import pytest

from otel_qtap.discovery.containers import sockets
from otel_qtap.discovery.containers.sockets import RuntimeSocket, runtime_sockets


def listen(path: Path, owner: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    os.chown(path, owner, owner)
    return str(path)


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    patterns = ("docker.sock", "alias.sock", "user/*/podman.sock", "containerd.sock")
    monkeypatch.setattr(sockets, "USUAL", tuple(str(tmp_path / pattern) for pattern in patterns))
    return tmp_path


def test_usual_sockets_in_their_order_each_once(usual: Path) -> None:
    containerd, docker = listen(usual / "containerd.sock"), listen(usual / "docker.sock")
    (usual / "alias.sock").symlink_to("docker.sock")
    assert runtime_sockets(None) == [RuntimeSocket(docker, False), RuntimeSocket(containerd, True)]


def test_what_is_no_socket_is_none(usual: Path) -> None:
    (usual / "docker.sock").write_text("")
    assert runtime_sockets(None) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a socket to another user")
def test_a_users_socket_serves_that_users_containers_alone(usual: Path) -> None:
    listen(usual / "user" / "1000" / "podman.sock", owner=1000)
    (found,) = runtime_sockets(None)
    assert (found.serves(1000), found.serves(1001), found.serves(None)) == (True, False, False)


def test_named_sockets_replace_the_usual_ones_and_are_trusted(usual: Path) -> None:
    listen(usual / "docker.sock")
    named = listen(usual / "crio.sock", owner=os.geteuid())
    assert runtime_sockets([named, str(usual / "absent.sock")]) == [RuntimeSocket(named, True)]
    assert runtime_sockets([]) == []
