# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.discovery.procfs import (
    NANOSECONDS_PER_TICK,
    ProcessReader,
    matches,
)
from otel_qtap.model.identity import PodFacts, ProcessId

ID = "0123456789abcdef" * 4


class FakeProc:
    """One made-up process, number 42."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / "42"
        self.directory.mkdir()
        self.write("stat", self.stat("app"))
        self.write("status", "Name:\tapp\nUid:\t1000\t0\t1000\t1000\n")
        (self.directory / "exe").symlink_to("/opt/app/bin/server")

    @staticmethod
    def stat(command: str, *, ticks: int = 12345) -> str:
        return f"42 ({command}) S 7 " + " ".join(["0"] * 17) + f" {ticks} 0 0\n"

    def write(self, name: str, content: str | bytes) -> None:
        (self.directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    def facts(self, start_time_ns: int | None = None):
        return ProcessReader(str(self.root)).facts(42, start_time_ns)


@pytest.fixture
def proc(tmp_path) -> FakeProc:
    return FakeProc(tmp_path)


def test_facts_of_a_made_up_process(proc):
    proc.write("cmdline", b"server\0--port\0\0" + b"443\0")
    proc.write("cgroup", f"0::/system.slice/docker-{ID}.scope\n")
    facts = proc.facts()
    assert facts.process == ProcessId(42, 12345 * NANOSECONDS_PER_TICK)
    assert (facts.command, facts.executable, facts.parent_pid) == ("app", "/opt/app/bin/server", 7)
    assert facts.command_line == ("server", "--port", "", "443")
    assert (facts.user_id, facts.user_name) == (0, "root")
    assert (facts.container_id, facts.service_name) == (ID, "server")


def test_facts_of_this_process():
    facts = ProcessReader().facts(os.getpid())
    assert facts.executable == str(Path(sys.executable).resolve())
    assert facts.command_line[0] == sys.orig_argv[0]
    assert (facts.parent_pid, facts.user_id) == (os.getppid(), os.geteuid())
    assert facts.command == Path("/proc/self/comm").read_text().rstrip("\n")


def test_facts_of_a_process_with_declared_names():
    environment = {"OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "service.version=1%2C2"}
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        facts = ProcessReader().facts(process.pid)
        process.stdin.close()
    assert (facts.service_name, facts.service_version) == ("shop", "1,2")
    assert ProcessReader().facts(process.pid) is None


@pytest.mark.parametrize("command", ["a b", "a) S 1 (b", "((", ")", ""])
def test_a_command_may_hold_blanks_and_parentheses(proc, command):
    proc.write("stat", proc.stat(command))
    assert (proc.facts().command, proc.facts().parent_pid) == (command, 7)


def test_the_kernels_exact_start_time_is_kept_and_tells_a_reused_pid(proc):
    exact = 12345 * NANOSECONDS_PER_TICK + 6_789_012
    assert proc.facts(exact).process.start_time_ns == exact
    assert proc.facts(exact + NANOSECONDS_PER_TICK) is None
    assert matches(12345, exact)
    assert not matches(12345, exact - NANOSECONDS_PER_TICK)


@pytest.mark.parametrize("content", [b"", b"42", b"42 (app", b"42 (app) S 7", b"42 (app) " + b"x " * 30])
def test_a_process_that_ends_while_it_is_read_is_gone(proc, content):
    proc.write("stat", content)
    assert proc.facts() is None
    assert ProcessReader(str(proc.root)).start_ticks(42) is None


def test_only_the_stat_file_is_indispensable(proc):
    (proc.directory / "status").unlink()
    (proc.directory / "exe").unlink()
    facts = proc.facts()
    assert (facts.executable, facts.command_line, facts.user_id, facts.user_name) == ("", (), None, "")
    assert facts.service_name == "app"


def test_a_replaced_executable_keeps_its_path(proc):
    (proc.directory / "exe").unlink()
    (proc.directory / "exe").symlink_to("/opt/app/bin/server (deleted)")
    assert proc.facts().executable == "/opt/app/bin/server"


def test_an_unknown_user_has_a_number_only(proc):
    proc.write("status", "Uid:\t1\t2\nUid:\t4000000000\t4000000001\t0\t0\n")
    assert (proc.facts().user_id, proc.facts().user_name) == (4000000001, "")


def test_the_unit_that_runs_containers_names_none_of_them(proc):
    proc.write("cgroup", f"0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}\n")
    assert (proc.facts().service_name, proc.facts().container_id) == ("server", ID)


def test_a_container_that_cgroups_hide_is_told_by_its_mounts(proc):
    proc.write("cgroup", "0::/../..\n")
    proc.write(
        "mountinfo", f"1 2 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 x rw\n"
    )
    facts = proc.facts()
    assert (facts.container_id, facts.container.runtime) == (ID, "docker")


def test_a_services_process_is_in_no_container(proc):
    proc.write("cgroup", "0::/system.slice/nginx.service\n")
    facts = proc.facts()
    assert (facts.service_name, facts.unit, facts.container_id) == ("nginx", "nginx.service", "")
    assert facts.container is None
    assert facts.pod is None


def test_a_process_in_a_pod_declares_what_the_downward_api_gave_it(proc):
    pod = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
    proc.write("cgroup", f"0::/kubepods/burstable/pod{pod}/{ID}\n")
    proc.write("environ", b"POD_NAMESPACE=shop\0HOSTNAME=web-7d4b9c6f58-x2x8k\0OTEL_RESOURCE_ATTRIBUTES=a=b")
    facts = proc.facts()
    assert facts.pod == PodFacts(
        uid=pod,
        name="web-7d4b9c6f58-x2x8k",
        namespace="shop",
        owners=(("deployment", "web"), ("replicaset", "web-7d4b9c6f58")),
    )
    assert (facts.service_name, facts.service_namespace, facts.declared) == ("web", "shop", (("a", "b"),))


def test_mounts_that_containers_do_not_have_are_not_looked_at(proc):
    for process in ("self", "42"):
        (proc.root / process / "ns").mkdir(parents=True)
    (proc.root / "self" / "ns" / "mnt").touch()
    (proc.directory / "ns" / "mnt").hardlink_to(proc.root / "self" / "ns" / "mnt")
    proc.write(
        "mountinfo", f"1 2 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 x rw\n"
    )
    assert proc.facts().container_id == ""


def test_maps_of_a_process_may_be_read_or_not(proc):
    assert ProcessReader().may_read_maps(os.getpid())
    reader = ProcessReader(str(proc.root))
    assert not reader.may_read_maps(42)
    proc.write("maps", "")
    assert not reader.may_read_maps(42)
    proc.write("maps", "7f00-7f01 r-xp 0 08:01 3 /bin/true\n")
    assert reader.may_read_maps(42)
