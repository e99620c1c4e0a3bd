# SPDX-License-Identifier: Apache-2.0
"""What arrives at a real socket, as systemd would listen on it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.agent.service_manager import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().splitlines()


def test_each_state_is_told(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname()}
    service = ServiceManager(environ)
    assert environ == {}, "no child speaks in our name"

    service.ready("capturing")
    assert heard(manager) == ["READY=1", "STATUS=capturing"]
    service.reloading()
    first, second, _ = heard(manager)
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdecimal()
    service.stopping()
    assert heard(manager)[0] == "STOPPING=1"


def test_a_name_in_the_abstract_namespace() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0otel-qtap-test-{os.getpid()}")
        listener.settimeout(5)
        ServiceManager({"NOTIFY_SOCKET": f"@otel-qtap-test-{os.getpid()}"}).ready("x")

        assert heard(listener)[0] == "READY=1"


def test_the_watchdog_is_fed_twice_as_often_as_it_wants(manager: socket.socket) -> None:
    watchdog = {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
    service = ServiceManager({"NOTIFY_SOCKET": manager.getsockname(), **watchdog})
    manager.setblocking(False)
    fed = 0
    for tenth in range(200):
        service.alive(tenth / 10)
        try:
            fed += heard(manager) == ["WATCHDOG=1"]
        except BlockingIOError:
            continue

    assert fed == 4


@pytest.mark.parametrize(
    "environ", [{}, {"WATCHDOG_USEC": "1000"}, {"NOTIFY_SOCKET": "/nowhere"}, {"WATCHDOG_USEC": "x"}]
)
def test_with_nobody_to_tell_nothing_fails(environ: dict[str, str]) -> None:
    service = ServiceManager(dict(environ))
    service.ready("x")
    service.alive(1)


def test_a_watchdog_of_another_process_is_not_ours(manager: socket.socket) -> None:
    service = ServiceManager(
        {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    )
    service.alive(1)
    service.stopping()

    assert heard(manager)[0] == "STOPPING=1"
