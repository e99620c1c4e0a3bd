# SPDX-License-Identifier: Apache-2.0
"""Processes of containers: found through their mount namespaces, probed once a file, followed and let go."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import AgentProcess, running_agent
from tests.support.collector import Collector, running_collector
from tests.support.exchanges import assert_one_span_for_each
from tests.support.kernel_objects import descriptors, held_for, marked_inodes, probed_files
from tests.support.namespaces import ContainerHost, container_host, library_of
from tests.support.nginx import Nginx, running_nginx
from tests.support.otlp_records import Span
from tests.support.overlays import mounted_overlay
from tests.support.pki import Pki
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

RESCAN = {"OTEL_QTAP_CAPTURE_RESCAN_SECONDS": "1"}


@pytest.fixture
def host(tmp_path: Path, pki: Pki, nginx: Nginx) -> Iterator[ContainerHost]:
    nginx.add_sized(16)
    with container_host(tmp_path / "layers", pki, nginx.port) as host:
        yield host


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[AgentProcess]:
    """An agent that looks around every second."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint, **RESCAN}
    with running_agent(tmp_path_factory.mktemp("agent"), settings) as agent:
        yield agent


@pytest.fixture
def own_collector(tmp_path: Path) -> Iterator[Collector]:
    """A collector that only the agent of one test exports to."""
    with running_collector(tmp_path / "collector") as collector:
        yield collector


def probes(agent: AgentProcess, image: Path) -> int:
    """How often the agent is attached to libraries of containers of this image."""
    return sum(f"/opt/{image.name}/" in path for path in probed_files(agent.pid))


def wait_probed(agent: AgentProcess, image: Path, files: int = 1) -> None:
    eventually(lambda: probes(agent, image) == files, f"{files} files of {image.name} are probed")


def client_spans(collector: Collector, nginx: Nginx, prefix: str, count: int) -> list[Span]:
    return collector.wait_for_spans(
        count,
        lambda s: s.port == nginx.port and s.kind == "client" and f"/{prefix}" in s.attributes["url.full"],
    )


def test_a_file_that_containers_share_is_probed_once_and_each_exchange_told_once(
    agent: AgentProcess, collector: Collector, nginx: Nginx, host: ContainerHost
) -> None:
    image = host.image("shared")
    containers = host.start_many(image, 5)
    wait_probed(agent, image)
    keys = [f"shared-{number}" for number in range(5)]
    for key, container in zip(keys, containers, strict=True):
        container.get(f"/sized/16/{key}")

    assert_one_span_for_each(client_spans(collector, nginx, "shared-", 5), keys)
    assert probes(agent, image) == 1


def test_a_library_that_a_container_changed_is_captured_too(
    agent: AgentProcess, collector: Collector, nginx: Nginx, host: ContainerHost
) -> None:
    image, layer = host.image("changed"), host.layers / "containers" / "changed"
    with mounted_overlay(layer, image) as merged:
        os.chown(merged / library_of(image).relative_to(image), 1, 1)
    containers = [host.start(image), host.start(image, layer)]
    for container in containers:
        container.wait_connected()
    wait_probed(agent, image, files=2)
    keys = ["changed-not", "changed-own"]
    for key, container in zip(keys, containers, strict=True):
        container.get(f"/sized/16/{key}")

    assert_one_span_for_each(client_spans(collector, nginx, "changed-", 2), keys)


def test_a_container_that_is_started_again_is_captured_again(
    agent: AgentProcess, collector: Collector, nginx: Nginx, host: ContainerHost
) -> None:
    image, layer = host.image("again"), host.layers / "containers" / "again"
    layer.mkdir(parents=True)
    for number in range(3):
        container = host.start(image, layer)
        container.wait_connected()
        wait_probed(agent, image)
        container.get(f"/sized/16/again-{number}")
        container.stop()

    keys = [f"again-{number}" for number in range(3)]
    assert_one_span_for_each(client_spans(collector, nginx, "again-", 3), keys)


def test_an_upgraded_image_is_captured_and_the_old_one_frees_its_space(
    agent: AgentProcess, collector: Collector, nginx: Nginx, host: ContainerHost
) -> None:
    old, new = host.image("old"), host.image("new")
    running, upgraded = host.start_many(old, 2), host.start_many(new, 2)
    keys = [f"upgrade-{number}" for number in range(4)]
    for image in (old, new):
        wait_probed(agent, image)
    for key, container in zip(keys, running + upgraded, strict=True):
        container.get(f"/sized/16/{key}")
    assert_one_span_for_each(client_spans(collector, nginx, "upgrade-", 4), keys)

    size, taken = library_of(old).stat().st_size, shutil.disk_usage(host.layers).used
    shutil.rmtree(old)
    for container in running:
        container.stop()
    wait_probed(agent, old, files=0)
    eventually(lambda: shutil.disk_usage(host.layers).used <= taken - size, "the old image is freed")
    assert probes(agent, new) == 1


def test_a_library_that_is_replaced_in_a_running_container_is_captured_beside_the_old_one(
    agent: AgentProcess, collector: Collector, nginx: Nginx, host: ContainerHost
) -> None:
    image, layer = host.image("replaced"), host.layers / "containers" / "replaced"
    layer.mkdir(parents=True)
    before = host.start(image, layer)
    before.wait_connected()
    # As a package manager does it, by the way in that any process of the host has.
    library = Path(f"/proc/{before.pid}/root") / library_of(image).relative_to(image)
    fresh = library.with_name("libssl.new")
    shutil.copy(library, fresh)
    fresh.rename(library)
    after = host.start_inside(before, image)
    after.wait_connected()
    wait_probed(agent, image, files=2)
    for key, container in (("replaced-before", before), ("replaced-after", after)):
        container.get(f"/sized/16/{key}")

    keys = ["replaced-before", "replaced-after"]
    assert_one_span_for_each(client_spans(collector, nginx, "replaced-", 2), keys)
    before.stop()
    wait_probed(agent, image)


def test_an_agent_that_is_started_again_finds_what_runs(
    tmp_path: Path, own_collector: Collector, nginx: Nginx, host: ContainerHost
) -> None:
    image = host.image("restart")
    containers = host.start_many(image, 3)
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": own_collector.http_endpoint, **RESCAN}
    for run in ("first", "second"):
        with running_agent(tmp_path / "restarted", settings) as agent:
            assert probes(agent, image) == 1
            for number, container in enumerate(containers):
                container.get(f"/sized/16/{run}-{number}")
            agent.stop()
        keys = [f"{run}-{number}" for number in range(3)]
        assert_one_span_for_each(client_spans(own_collector, nginx, f"{run}-", 3), keys)


def test_an_agent_that_sees_no_file_of_the_host_but_by_its_processes_captures_them(
    tmp_path: Path, own_collector: Collector, nginx: Nginx, host: ContainerHost
) -> None:
    image = host.image("hidden")
    (early,) = host.start_many(image, 1)
    # A mount namespace of its own, in which the place of all layers is empty.
    script = f'mount -t tmpfs none {host.layers} && test -z "$(ls {host.layers})" && exec "$@"'
    wrapper = ["unshare", "--mount", "sh", "-c", script, "sh"]
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": own_collector.http_endpoint, **RESCAN}
    with running_agent(tmp_path / "apart", settings, wrapper=wrapper) as agent:
        assert probes(agent, image) == 1
        other = host.image("hidden-too")
        (late,) = host.start_many(other, 1)
        wait_probed(agent, other)
        for key, container in (("hidden-early", early), ("hidden-late", late)):
            container.get(f"/sized/16/{key}")
        agent.stop()
    keys = ["hidden-early", "hidden-late"]
    assert_one_span_for_each(client_spans(own_collector, nginx, "hidden-", 2), keys)


ROUNDS, STARTS = 5, 100


def storm(host: ContainerHost, lasting: Path, round_: int) -> list[str]:
    """Start many containers at once, of a lasting image and of one that goes; end them in every way.

    The keys of the exchanges that containers of the lasting image made.
    """
    passing = host.image(f"passing-{round_}")
    started = [host.start(passing if number % 3 == 0 else lasting) for number in range(STARTS)]
    keys = []
    for number, container in enumerate(started):
        if number % 4 == 0:
            container.kill()  # somewhere between its start and its handshake
            continue
        container.wait_connected()
        if number % 4 == 1:
            container.kill()
            continue
        key = f"{'passing' if number % 3 == 0 else 'storm'}-{round_}-{number}"
        container.get(f"/sized/16/{key}")
        if key.startswith("storm"):
            keys.append(key)
        if number % 4 == 2:
            container.kill()
        else:
            container.stop()
    shutil.rmtree(passing)
    return keys


def test_storms_of_starts_and_stops_lose_nothing_and_leave_nothing(
    tmp_path: Path, own_collector: Collector, pki: Pki
) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": own_collector.http_endpoint, **RESCAN}
    with running_agent(tmp_path / "agent", settings) as agent:
        pids = agent.lasting_pids
        with running_nginx(tmp_path / "nginx", pki) as nginx:
            nginx.add_sized(16)
            with container_host(tmp_path / "layers", pki, nginx.port) as host:
                lasting = host.image("lasting")
                (first,) = host.start_many(lasting, 1)
                wait_probed(agent, lasting)
                first.get("/sized/16/storm-first")
                client_spans(own_collector, nginx, "storm-", 1)
                before = {pid: descriptors(pid) for pid in pids}
                keys = [key for round_ in range(ROUNDS) for key in storm(host, lasting, round_)]
                first.stop()
                told = client_spans(own_collector, nginx, "storm-", len(keys) + 1)
                assert_one_span_for_each(told, ["storm-first", *keys])
                inodes = {library_of(lasting).stat().st_ino}
                ended = {*host.pids, nginx.pid, *procfs.descendants(nginx.pid)}
        ended -= {pid for pid in ended if procfs.is_alive(pid)}  # somebody else has their number

        def nothing_left() -> bool:
            probed = [path for path in probed_files(agent.pid) if path.startswith("/opt/")]
            kept = held_for(agent.pid, ended), inodes & marked_inodes(agent.pid)
            open_now = {pid: descriptors(pid) for pid in pids}
            return not probed and not any(kept) and all(open_now[pid] <= before[pid] for pid in pids)

        assert len(ended) > ROUNDS * STARTS
        eventually(nothing_left, "nothing is left of them", seconds=30, pause=0.2)
        assert agent.lasting_pids == pids
        agent.stop()
