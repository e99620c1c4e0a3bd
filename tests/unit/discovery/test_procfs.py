# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.discovery.procfs import (
    NANOSECONDS_PER_TICK,
    ProcessReader,
    container_id_of,
    matches,
    service_name_of,
    systemd_unit_of,
)
from otel_qtap.model.identity import ProcessId

ID = "0123456789abcdef" * 4
OTHER = "f" * 64


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


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        (f"12:pids:/docker/{ID}\n0::/docker/{ID}", ID),
        (f"0::/system.slice/docker-{ID}.scope", ID),
        (f"0::/../{ID}", ID),
        (f"11:memory:/kubepods/burstable/pod0f3e/{ID}", ID),
        (f"0::/kubepods.slice/kubepods-pod0f3e_1.slice/cri-containerd-{ID}.scope", ID),
        (f"1:name=systemd:/system.slice/containerd.service/kubepods-pod0f3e.slice:cri-containerd:{ID}", ID),
        (f"0::/kubepods.slice/kubepods-pod0f3e.slice/crio-{ID}.scope/container", ID),
        (f"0::/machine.slice/libpod-{ID}.scope/container", ID),
        (f"0::/docker/{OTHER}/docker/{ID}", ID),
        (f"0::/machine.slice/libpod-conmon-{ID}.scope", ""),
        (f"0::/kubepods.slice/crio-conmon-{ID}.scope", ""),
        ("0::/system.slice/nginx.service", ""),
        (f"0::/x/{ID}0", ""),
        (f"0::/x/{ID[1:]}", ""),
        ("", ""),
    ],
)
def test_container_ids(cgroup, expected):
    assert container_id_of(cgroup.splitlines()) == expected


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        ("0::/system.slice/nginx.service", "nginx"),
        ("0::/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main"),
        ("0::/system.slice/app.service/worker", "app"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "web"),
        ("12:pids:/\n1:name=systemd:/system.slice/my\\x2dapp.service\n0::/", "my-app"),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope", ""),
        ("0::/user.slice/user-1000.slice/session-3.scope", ""),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-7.scope", ""),
        ("0::/", ""),
    ],
)
def test_systemd_units(cgroup, expected):
    assert systemd_unit_of(cgroup.splitlines()) == expected


def test_the_order_in_which_a_service_is_named():
    known = {"declared": "d", "unit": "u", "executable": "/bin/e", "command": "c"}
    for source, name in (
        ("declared", "d"),
        ("unit", "u"),
        ("executable", "e"),
        ("command", "c"),
        ("", "unknown_service"),
    ):
        assert service_name_of(**known) == name
        known[source] = ""


def test_the_unit_that_runs_containers_names_none_of_them(proc):
    proc.write("cgroup", f"0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}\n")
    assert (proc.facts().service_name, proc.facts().container_id) == ("server", ID)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (b"OTEL_SERVICE_NAME=a\0OTEL_RESOURCE_ATTRIBUTES=service.name=b", ("a", "", "")),
        (b"OTEL_RESOURCE_ATTRIBUTES=service.name=b , service.namespace=n,service.version=1", ("b", "n", "1")),
        (b"OTEL_RESOURCE_ATTRIBUTES=service.name=caf%C3%A9,", ("caf\u00e9", "", "")),
        (b"OTEL_RESOURCE_ATTRIBUTES=service.name=b,broken", ("server", "", "")),
        (b"OTEL_RESOURCE_ATTRIBUTES=service.name=%ff", ("server", "", "")),
        (b"OTEL_SERVICE_NAME= \0XOTEL_SERVICE_NAME=x", ("server", "", "")),
        (b"\0\0\xff=\xff\0", ("server", "", "")),
    ],
)
def test_names_that_a_process_declares(proc, environment, expected):
    proc.write("environ", environment)
    facts = proc.facts()
    assert (facts.service_name, facts.service_namespace, facts.service_version) == expected
