# SPDX-License-Identifier: Apache-2.0
import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host, Status, confinement
from otel_qtap.agent.doctor.host import Runtime
from tests.unit.agent.doctor.conftest import write_status

ROOT = Path(__file__).parents[4]


def answer(monkeypatch: pytest.MonkeyPatch, **codes: int) -> None:
    def probe(code: int) -> Callable[[], int]:
        def refuse() -> int:
            raise OSError(code, "")

        return refuse

    monkeypatch.setattr(confinement, "PROBES", {name: probe(code) for name, code in codes.items()})


def test_a_process_without_a_filter(make_host: Callable[..., Host]) -> None:
    outcome = confinement.seccomp(make_host())

    assert (outcome.status, outcome.summary) == (Status.OK, "no filter")


def test_the_kernel_answers_to_anybody_before_it_asks_for_a_privilege() -> None:
    program = (
        "from otel_qtap.agent.doctor.confinement import PROBES\n"
        "for probe in PROBES.values():\n"
        "    try: probe()\n"
        "    except OSError as error: print(error.errno)\n"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [str(errno.E2BIG), str(errno.EINVAL)]


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
def test_a_filter_that_refuses(
    make_host: Callable[..., Host], proc: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    write_status(proc, Seccomp="2")
    answer(monkeypatch, bpf=code, perf_event_open=errno.EINVAL)

    outcome = confinement.seccomp(make_host(runtime=Runtime.PODMAN))

    assert outcome.status is Status.FAIL
    assert "refuses bpf," in outcome.summary
    assert outcome.flags == ("--security-opt=seccomp=unconfined",)


def test_a_filter_that_lets_through(
    make_host: Callable[..., Host], proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_status(proc, Seccomp="2")
    answer(monkeypatch, bpf=errno.E2BIG, perf_event_open=errno.EINVAL)

    assert confinement.seccomp(make_host()).status is Status.OK


def test_old_kernels_tell_it_only_to_who_may(
    make_host: Callable[..., Host], proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_status(proc, Seccomp="2", CapEff="0000000000000000")
    answer(monkeypatch, bpf=errno.EPERM, perf_event_open=errno.EPERM)

    assert confinement.seccomp(make_host(release="5.15.0")).status is Status.SKIP
    assert confinement.seccomp(make_host(release="5.19.0")).status is Status.FAIL


@pytest.mark.parametrize(
    ("place", "label", "status", "flag"),
    [
        ("apparmor/current", "docker-default (enforce)\n", Status.WARN, "apparmor=unconfined"),
        ("apparmor/current", "docker-default (complain)\n", Status.OK, ""),
        ("current", "unconfined\n", Status.OK, ""),
        ("current", "system_u:system_r:container_t:s0:c7,c9\0", Status.WARN, "label=disable"),
        ("current", "unconfined_u:unconfined_r:unconfined_t:s0\0", Status.OK, ""),
        ("current", "", Status.OK, ""),
    ],
)
def test_security_modules_by_the_labels_of_their_processes(
    make_host: Callable[..., Host], proc: Path, place: str, label: str, status: Status, flag: str
) -> None:
    (proc / "self/attr" / place).parent.mkdir(parents=True)
    (proc / "self/attr" / place).write_text(label)

    outcome = confinement.security_module(make_host(runtime=Runtime.DOCKER))

    assert outcome.status is status
    assert outcome.flags == ((f"--security-opt={flag}",) if flag else ())


def test_a_kernel_without_security_modules(make_host: Callable[..., Host]) -> None:
    assert confinement.security_module(make_host()).status is Status.OK
