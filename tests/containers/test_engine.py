# SPDX-License-Identifier: Apache-2.0
"""The engine that all container tests stand on starts, stops and cleans up real containers."""

from pathlib import Path

import pytest

from tests.support.containers import EngineError, base_image, build_image, engine, running_container
from tests.support.waiting import eventually

pytestmark = pytest.mark.containers


def test_container_lives_in_its_own_root_with_an_identity_in_its_cgroup() -> None:
    with running_container(base_image(), "sleep", "600") as container:
        assert Path(f"/proc/{container.pid}/root/etc/debian_version").read_text().startswith("12")
        assert container.id in Path(f"/proc/{container.pid}/cgroup").read_text()
        assert container.run("cat", "/proc/1/comm") == "sleep\n"
    with pytest.raises(EngineError):
        container.inspect()


def test_container_stops_by_its_signal_and_starts_again() -> None:
    script = "trap 'exit 7' TERM; echo up; echo aside >&2; while :; do sleep 0.05; done"
    with running_container(base_image(), "sh", "-c", script) as container:
        first = container.pid
        eventually(lambda: "aside" in container.logs(), "the container is up")
        container.stop()
        assert (container.is_running, container.exit_code) == (False, 7)
        assert container.logs() == "up\naside\n"
        container.start()
        assert container.pid not in {0, first}


def test_image_is_built_from_the_base() -> None:
    tag = build_image("otel-qtap-tests/one-file", "FROM debian:bookworm-slim\nRUN echo built > /built\n")
    assert engine("run", "--rm", tag, "cat", "/built") == "built\n"
