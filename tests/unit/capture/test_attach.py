# SPDX-License-Identifier: Apache-2.0
"""Attaching for real to a copy of the system's libssl: what is refused, and that nothing is left behind."""

import collections
import dataclasses
import errno
import gc
import mmap
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.agent.probed_files import sites_of
from otel_qtap.capture import attach
from otel_qtap.capture.attach import (
    Probes,
    Site,
    Tracefs,
    Tracepoints,
    detach_together,
    find_tracefs,
    tracing_directory,
)
from otel_qtap.capture.session import KernelSession
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.plan import LibraryPlan
from otel_qtap.errors import CaptureError
from otel_qtap.probes.registry import LIBRARIES
from tests.support.waiting import eventually

pytestmark = pytest.mark.bpf

BREAKPOINT = 0xCC
LIBSSL = Path("/usr/lib/x86_64-linux-gnu/libssl.so.3")
both_ways = pytest.mark.parametrize("kernel_session", ["multi", "perf"], indirect=True)


@pytest.fixture
def plan(tmp_path: Path) -> LibraryPlan:
    copy = tmp_path / "libssl.so.3"
    shutil.copy(LIBSSL, copy)
    return LibraryLocator(None).locate(str(copy))


def descriptors() -> int:
    gc.collect()  # what others left to it holds some
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@both_ways
def test_probes_hold_their_descriptors_until_they_are_detached(
    kernel_session: KernelSession, plan: LibraryPlan
) -> None:
    before = descriptors()
    probes = Probes(kernel_session, plan.path, sites_of(plan), plan.identity.state)

    assert probes.descriptors > 0
    assert descriptors() == before + probes.descriptors
    probes.detach()
    assert descriptors() == before


@both_ways
def test_a_path_that_leads_to_another_file_by_now_is_refused(
    kernel_session: KernelSession, plan: LibraryPlan
) -> None:
    Path(plan.path).unlink()
    shutil.copy(LIBSSL, plan.path)
    before = descriptors()

    with pytest.raises(CaptureError, match=r"cannot probe .*libssl.so.3: .*ESTALE"):
        Probes(kernel_session, plan.path, sites_of(plan), plan.identity.state)
    assert descriptors() == before


@both_ways
def test_a_place_that_cannot_be_probed_leaves_nothing_attached(
    kernel_session: KernelSession, plan: LibraryPlan
) -> None:
    before = descriptors()
    beyond = Site(1 << 40, plan.sites[0].cookie, False)

    with pytest.raises(CaptureError, match="cannot probe"):
        Probes(kernel_session, plan.path, [*sites_of(plan), beyond], plan.identity.state)
    assert descriptors() == before


def test_a_file_that_is_gone_is_named(kernel_session: KernelSession, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"cannot probe .*/absent: .*ENOENT"):
        Probes(kernel_session, str(tmp_path / "absent"), [])


def test_a_library_without_returns_to_probe_is_attached_to(
    kernel_session: KernelSession, plan: LibraryPlan
) -> None:
    entries = [site for site in sites_of(plan) if not site.on_return]
    assert entries
    probes = Probes(kernel_session, plan.path, entries, plan.identity.state)

    assert probes.descriptors == 1
    probes.detach()


@both_ways
def test_many_files_are_detached_from_together(
    kernel_session: KernelSession, plan: LibraryPlan, tmp_path: Path
) -> None:
    before = descriptors()
    copies = [shutil.copy(LIBSSL, tmp_path / f"copy-{number}") for number in range(3)]
    held = [Probes(kernel_session, str(copy), sites_of(plan)) for copy in copies]
    detach_together(held)

    assert descriptors() == before
    assert [probes.descriptors for probes in held] == [0, 0, 0]
    detach_together([])


@both_ways
def test_no_place_keeps_its_breakpoint(kernel_session: KernelSession, plan: LibraryPlan) -> None:
    with (
        Path(plan.path).open("rb") as file,
        mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC) as mapped,
    ):
        offsets = [site.file_offset for site in plan.sites]
        original = [mapped[offset] for offset in offsets]
        probes = Probes(kernel_session, plan.path, sites_of(plan), plan.identity.state)

        assert [mapped[offset] for offset in offsets] == [BREAKPOINT] * len(offsets)
        probes.detach()
        eventually(lambda: [mapped[offset] for offset in offsets] == original, "all are taken away")


def test_tracepoints_are_attached_and_detached(kernel_session: KernelSession) -> None:
    before = descriptors()
    tracepoints = Tracepoints(kernel_session)

    assert descriptors() > before
    tracepoints.detach()
    assert descriptors() == before


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("qtap_process_exit", "sched_process_exit"),
        ("qtap_process_exec", "sched_process_exec"),
        ("qtap_socket_io", "sock_send_length"),
        ("qtap_sys_enter_mmap", "syscalls/sys_enter_mmap"),
    ],
)
def test_a_tracepoint_that_is_refused_is_named_and_leaves_nothing_attached(
    kernel_session: KernelSession, program: str, told: str
) -> None:
    wrong = {**kernel_session.programs, program: kernel_session.maps["counters"]}
    before = descriptors()

    with pytest.raises(CaptureError, match=rf"cannot attach to the tracepoint {told}: .*CAP_BPF"):
        Tracepoints(dataclasses.replace(kernel_session, programs=wrong))
    assert descriptors() == before


def test_the_tracing_directory_has_the_events_that_are_needed(kernel_session: KernelSession) -> None:
    assert (tracing_directory() / "events" / "syscalls" / "sys_enter_mmap" / "id").exists()


def test_tracefs_by_what_is_mounted(tmp_path: Path) -> None:
    places = (tmp_path / "tracing", tmp_path / "debug/tracing")
    assert find_tracefs(places) == (Tracefs.ABSENT, places[0])
    (places[1] / "events").mkdir(parents=True)
    assert find_tracefs(places) == (Tracefs.READABLE, places[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes others")
def test_tracefs_is_closed_to_other_accounts() -> None:
    tracing_directory()
    program = "from otel_qtap.capture.attach import find_tracefs; print(*find_tracefs())"
    done = subprocess.run(
        ["setpriv", "--reuid=64997", "--regid=64997", "--clear-groups", sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("closed /sys/kernel/")


def test_perf_events_that_are_refused_name_their_capability(
    kernel_session: KernelSession, plan: LibraryPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(attach, "perf_uprobe_link", refuse)
    session = dataclasses.replace(
        kernel_session, attach="perf", programs=collections.defaultdict(int, kernel_session.programs)
    )

    with pytest.raises(CaptureError, match=r"EACCES\); perf events may need CAP_SYS_ADMIN"):
        Probes(session, plan.path, sites_of(plan))


def test_kernels_that_tell_no_sites_apart_are_refused_what_is_not_openssl() -> None:
    nothing = KernelSession(
        programs={}, maps={}, attach="perf", data_ring_bytes=0, control_ring_bytes=0, process_ring_bytes=0
    )
    gnutls = next(library for library in LIBRARIES if library.name == "gnutls")
    (probe,) = gnutls.data_paths[1].public
    site = Site(4096, probe.cookie(gnutls.library_id), True)

    with pytest.raises(CaptureError, match=r"kernels below 5\.15 tell no probe sites apart: OpenSSL only"):
        Probes(nothing, str(LIBSSL), [site])
