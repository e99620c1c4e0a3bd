# SPDX-License-Identifier: Apache-2.0
"""A forked child gives its privileges up; the kernel says what is left of them."""

import json
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_qtap.agent.privileges import drop_privileges, limit_to, renounce
from otel_qtap.discovery import analysis
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.plan import Analysis, Refusal
from otel_qtap.errors import PrivilegeError
from otel_qtap.probes.openssl import LIBRARY
from otel_qtap.probes.spec import ObjectLayout
from tests.support.procfs import privileges

UID, GID = 65534, 65533

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")


def in_child(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a child of this process; its exception's type and text when it raises."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = work()
        except Exception as error:
            answer = [type(error).__name__, str(error)]
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return answer


@as_root
def test_nothing_is_left_and_nothing_comes_back() -> None:
    def work() -> Any:
        drop_privileges(UID, GID)
        held = privileges(os.getpid())
        way_back = []
        attempts: list[Callable[[], None]] = [
            lambda: os.setuid(0),
            lambda: os.setgid(0),
            lambda: os.setgroups([0]),
        ]
        for attempt in attempts:
            try:
                attempt()
                way_back.append("succeeded")
            except PermissionError:
                way_back.append("refused")
        status = Path("/proc/thread-self/status").read_text()
        bounding = next(line for line in status.splitlines() if line.startswith("CapBnd"))
        return [
            held.user_ids,
            held.group_ids,
            held.supplementary_groups,
            held.effective_capabilities
            | held.permitted_capabilities
            | held.inheritable_capabilities
            | held.ambient_capabilities,
            int(bounding.split()[1], 16),
            held.no_new_privileges,
            way_back,
        ]

    assert in_child(work) == [[UID] * 4, [GID] * 4, [], 0, 0, True, ["refused"] * 3]


@as_root
def test_its_memory_is_closed_to_others_of_its_account_and_never_dumped() -> None:
    def work() -> Any:
        drop_privileges(UID, GID)
        return [resource.getrlimit(resource.RLIMIT_CORE), Path("/proc/self/mem").stat().st_uid]

    assert in_child(work) == [[0, 0], 0]


@as_root
def test_files_it_makes_are_its_own(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    def work() -> Any:
        drop_privileges(UID, GID)
        Path(tmp_path, "segment").write_bytes(b"")
        return [
            oct(Path(tmp_path, "segment").stat().st_mode & 0o777),
            Path(tmp_path, "segment").stat().st_uid,
        ]

    # The directories above belong to root and to the tests' user alone, hence the walk before the drop.
    os.chdir(tmp_path)
    tmp_path = Path()
    assert in_child(work) == [oct(0o600), UID]


@as_root
def test_remaining_root_is_refused() -> None:
    kind, text = in_child(lambda: drop_privileges(0, 0))

    assert kind == PrivilegeError.__name__
    assert "could not give up its privileges" in text


def capability_sets(pid: int | str) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line[3:6]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}


@as_root
def test_what_is_kept_and_nothing_comes_back_with_a_program() -> None:
    def work() -> Any:
        limit_to(["CAP_BPF", "CAP_KILL", "CAP_SETPCAP"])
        program = ["cat", "/proc/self/status"]
        done = subprocess.run(program, capture_output=True, text=True, check=True)
        return [
            capability_sets("self"),
            "NoNewPrivs:\t1" in done.stdout,
            "CapBnd:\t0000008000000120" in done.stdout,
        ]

    kept = 1 << 39 | 1 << 8 | 1 << 5
    assert in_child(work) == [{"Inh": 0, "Prm": kept, "Eff": kept, "Bnd": kept, "Amb": 0}, True, True]


@as_root
@pytest.mark.parametrize("setpcap", [True, False])
def test_a_program_gets_what_it_is_given_and_no_more(setpcap: bool) -> None:
    def work() -> Any:
        if not setpcap:  # then the bounding set cannot be narrowed any more
            limit_to(["CAP_SETUID", "CAP_BPF", "CAP_PERFMON"])
        limit_to(["CAP_BPF", "CAP_PERFMON"], for_program=True)
        done = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True)
        return [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("CapPrm", "CapEff"))]

    assert in_child(work) == ["000000c000000000"] * 2


@as_root
def test_the_analysis_of_a_file_has_no_privilege_and_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads what anybody can write, in a child of the process that has the most."""

    def analyse(*_: object, **__: object) -> Analysis:
        held = privileges(os.getpid())
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        told = [held.user_ids, held.permitted_capabilities, held.bounding_capabilities, descriptors]
        return Analysis((), ObjectLayout(), (Refusal(str(told), ""),))

    monkeypatch.setattr(analysis, "analyse", analyse)
    locator = LibraryLocator(None, confine=lambda keep: renounce(UID, GID, keep))
    with Path(os.devnull).open():
        plan = locator.locate("/usr/lib/x86_64-linux-gnu/libssl.so.3", LIBRARY)

    # The standard streams, the file, the pipe of its answer, and the directory of this very list.
    assert [refusal.function for refusal in plan.refusals] == [str([(UID,) * 4, 0, 0, 6])]
