# SPDX-License-Identifier: Apache-2.0
import mmap
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from otel_qtap.discovery import examinations, scan
from otel_qtap.discovery.inodes import is_same_inode
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.plan import FilePlan
from otel_qtap.discovery.programs import LEAST_BYTES
from otel_qtap.discovery.scan import LibraryScanner, ScanResult, process_ids, shown_path
from tests.support.overlays import mount_overlay, scratch_file_system

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="map_files and mounts need root")

LOAD = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(flush=True); sys.stdin.read()"


class Met(NamedTuple):
    """What one look found."""

    result: ScanResult
    plans: list[FilePlan]

    def of(self, inode: int) -> list[FilePlan]:
        return [plan for plan in self.plans if plan.identity.inode == inode]


class Looks:
    """A scanner whose plans are collected a look."""

    def __init__(self, scanner: LibraryScanner) -> None:
        self.scanner = scanner

    def ahead(self) -> Met:
        plans: list[FilePlan] = []
        self.scanner.ahead_of_need(plans.append)
        return Met(ScanResult(), plans)

    def now(self) -> Met:
        plans: list[FilePlan] = []
        return Met(self.scanner.mapped_now(plans.append, wait=True), plans)

    def by(self, pid: int, file: Path | None = None) -> Met:
        plans: list[FilePlan] = []
        inode = file.stat().st_ino if file else 1
        return Met(self.scanner.mapped_by(pid, [inode], plans.append, wait=True), plans)

    def ends(self) -> list[FilePlan]:
        """Plans of what is still looked at."""
        plans: list[FilePlan] = []
        while self.scanner.is_busy:
            self.scanner.advance(plans.append)
        return plans


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A procfs that shows the processes of the test."""
    directory = tmp_path / "proc"
    directory.mkdir()
    return directory


@pytest.fixture
def start(proc: Path) -> Iterator[Callable[..., int]]:
    """Start a process that loads a library and stays; gives its pid once the library is mapped."""
    running = []

    def start(library: Path | str, *prefix: str) -> int:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", LOAD, str(library)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        running.append(process)
        assert process.stdout.readline() == b"\n"
        (proc / str(process.pid)).symlink_to(f"/proc/{process.pid}")
        return process.pid

    yield start
    for process in running:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.fixture
def library(system_libssl, tmp_path) -> Path:
    path = tmp_path / "libssl-0badf00d.so.3"
    shutil.copy(system_libssl, path)
    return path


@pytest.fixture
def looks(proc: Path) -> Looks:
    return Looks(LibraryScanner(LibraryLocator(None), proc=str(proc), roots=()))


def system_file(name: str) -> str:
    """Path of a library that this process has mapped."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("/" + name):
            return line.split(None, 5)[5]
    raise FileNotFoundError(name)


def test_libraries_on_disk_are_planned_once(system_libssl):
    looks = Looks(LibraryScanner(LibraryLocator(None)))
    inode = system_libssl.stat().st_ino
    (plan,) = looks.ahead().of(inode)
    assert plan.usable
    assert looks.ahead().plans == []
    looks.scanner.try_again(plan.identity)
    assert len(looks.ahead().of(inode)) == 1
    assert looks.ahead().plans == []
    looks.scanner.forget(plan.identity)
    assert len(looks.ahead().of(inode)) == 1


def test_a_large_program_is_looked_at_once_nobody_waits_and_then_remembered(system_libssl, tmp_path):
    program = tmp_path / "usr/bin/program"
    program.parent.mkdir(parents=True)
    shutil.copy(system_libssl, program)
    program.chmod(0o755)
    os.truncate(program, LEAST_BYTES)
    inode = program.stat().st_ino

    def look() -> Looks:
        return Looks(LibraryScanner(LibraryLocator(tmp_path / "plans"), roots=(str(tmp_path),)))

    first = look()
    assert first.ahead().of(inode) == []
    assert first.scanner.is_busy
    later = first.ends()
    assert [plan.identity.inode for plan in later if plan.usable] == [inode]

    again = look()
    assert len(again.ahead().of(inode)) == 1
    assert not again.scanner.is_busy
    without = LibraryScanner(LibraryLocator(tmp_path / "plans"), roots=(str(tmp_path),), programs=False)
    assert Looks(without).ahead().of(inode) == []


def test_looking_at_large_programs_ends_when_nobody_wants_it(system_libssl, tmp_path):
    program = tmp_path / "usr/bin/program"
    program.parent.mkdir(parents=True)
    shutil.copy(system_libssl, program)
    program.chmod(0o755)
    os.truncate(program, LEAST_BYTES)
    looks = Looks(LibraryScanner(LibraryLocator(None), roots=(str(tmp_path),)))
    looks.ahead()
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    taken: list[FilePlan] = []
    looks.scanner.advance(taken.append)
    looks.scanner.stop()
    assert (taken, looks.scanner.is_busy, children.read_text()) == ([], False, before)


def test_a_running_process_is_found_with_its_library(library, looks, start):
    pids = {start(library), start(library)}
    met = looks.now()
    assert pids <= met.result.processes
    (plan,) = met.of(library.stat().st_ino)
    assert plan.usable
    again = looks.now()
    assert pids <= again.result.processes
    assert not again.of(library.stat().st_ino)


def test_patience_has_an_end_and_the_rest_is_looked_at_afterwards(library, start, proc, tmp_path, caplog):
    other = tmp_path / "libssl-1badf00d.so.3"
    shutil.copy(library, other)
    pid = start(library)
    looks = Looks(
        LibraryScanner(LibraryLocator(None), proc=str(proc), roots=(), named=(str(other),), patience=0.0)
    )
    assert looks.ahead().plans == []
    met = looks.now()
    assert (met.plans, met.result.processes) == ([], set())
    assert library.stat().st_ino in met.result.awaited
    assert ["could not be looked at" in record.getMessage() for record in caplog.records] == [True], "once"
    usable = {plan.identity.inode for plan in looks.ends() if plan.usable}
    assert {library.stat().st_ino, other.stat().st_ino} <= usable
    assert looks.now().result.processes == {pid}


def test_what_is_new_is_not_waited_for_when_nobody_asks_to(library, looks, start):
    pid = start(library)
    inode = library.stat().st_ino
    taken: list[FilePlan] = []
    result = looks.scanner.mapped_by(pid, [inode], taken.append)
    assert (taken, result.processes) == ([], set())
    assert inode in result.awaited
    assert inode not in {identity.inode for identity, _ in result.files}
    looks.scanner.mapped_by(pid, [inode], taken.append)
    assert [plan.identity.inode for plan in taken + looks.ends()].count(inode) == 1
    assert looks.by(pid).result.processes == {pid}


def test_a_file_that_is_looked_at_just_now_is_told_so(library, looks, start):
    pid = start(library)
    looks.scanner.mapped_by(pid, [library.stat().st_ino], lambda plan: None)
    awaited = [verdict for verdict in looks.scanner.verdicts(pid) if verdict.is_awaited]
    assert (str(library), ()) in [(verdict.path, verdict.libraries) for verdict in awaited]
    looks.ends()
    verdicts = looks.scanner.verdicts(pid)
    assert not any(verdict.is_awaited for verdict in verdicts)
    assert [verdict.path for verdict in verdicts if verdict.libraries] == [str(library)]


def test_what_there_is_no_place_for_among_the_awaited_is_awaited_too(
    library, start, proc, tmp_path, monkeypatch
):
    monkeypatch.setattr(examinations, "_MOST_OF_A_PROCESS", 1)
    scanner = LibraryScanner(LibraryLocator(None), proc=str(proc), roots=())
    monkeypatch.setattr(scanner, "advance", lambda take: None)
    pid = start(library)
    result = scanner.mapped_by(pid, [], lambda plan: None)
    assert len(result.awaited) > 1
    assert library.stat().st_ino in result.awaited
    assert str(library) in [verdict.path for verdict in scanner.verdicts(pid) if verdict.is_awaited]


def test_so_many_files_of_a_process_are_looked_at_and_those_that_were_told_of(
    library, start, looks, monkeypatch, caplog
):
    monkeypatch.setattr(scan, "MOST_FILES", 1)
    pid = start(library)
    looks.by(pid)
    result = looks.by(pid).result
    assert len(result.files) == 1
    assert [record.args[0] for record in caplog.records] == [pid], "once"
    assert result.work < 10
    assert looks.by(pid, library).result.processes == {pid}


def test_libraries_that_their_names_tell_come_first(library, looks, start, tmp_path):
    renamed = tmp_path / "aaa.so"
    shutil.copy(library, renamed)
    start(renamed)
    start(library)
    inodes = [plan.identity.inode for plan in looks.now().plans]
    assert inodes.index(library.stat().st_ino) < inodes.index(renamed.stat().st_ino)


def test_a_process_without_a_library_is_not_among_them(looks, start):
    pid = start("libc.so.6")
    assert pid not in looks.now().result.processes
    assert pid in process_ids()


def test_a_notice_about_one_process_is_answered_once(library, looks, start):
    pid = start(library)
    (plan,) = looks.by(pid).of(library.stat().st_ino)
    assert plan.usable
    assert not looks.by(pid).of(library.stat().st_ino)


def test_the_files_that_a_notice_may_be_about_are_those_that_can_be_probed(library, looks, start):
    pid = start(library)
    result = looks.by(pid).result
    assert result.processes == {pid}
    assert result.can_be_probed(result.identity(library.stat().st_ino))
    assert result.identity(1) is None


def test_a_file_that_is_not_mapped_as_code_yet_is_met_when_a_notice_is_about_it(library, looks, proc):
    (proc / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ):
        assert looks.by(os.getpid()).of(library.stat().st_ino) == []
        (plan,) = looks.by(os.getpid(), library).of(library.stat().st_ino)
    assert plan.usable


def test_a_file_that_holds_no_library_makes_no_tls_process(looks, start, tmp_path):
    namesake = tmp_path / "libssl3.so"
    shutil.copy(system_file("libc.so.6"), namesake)
    pid = start(namesake)
    met = looks.now()
    assert met.of(namesake.stat().st_ino) == []
    assert pid not in met.result.processes
    result = looks.by(pid).result
    identity = result.identity(namesake.stat().st_ino)
    assert identity
    assert not result.can_be_probed(identity)
    assert "libssl3.so" not in str(looks.scanner.verdicts(pid))


def test_a_notice_about_a_process_that_is_gone_is_answered_by_nothing(looks):
    assert looks.by(2**22 + 1).result.kernel_files == {}


def test_a_library_of_any_name_is_recognised(library, tmp_path, start, looks):
    program = library.rename(tmp_path / "program.bin")
    pid = start(program)
    met = looks.now()
    assert pid in met.result.processes
    (plan,) = met.of(program.stat().st_ino)
    assert plan.verdict.libraries == ("openssl",)
    assert [verdict.path for verdict in looks.scanner.verdicts(pid) if verdict.libraries] == [str(program)]


def test_a_file_that_the_user_named_needs_no_signs_of_a_library(make_elf, tmp_path, monkeypatch):
    program = tmp_path / "program.bin"
    program.write_bytes(make_elf({"SSL_read": b"\x55\xc3"}))
    looks = Looks(LibraryScanner(LibraryLocator(None), named=(str(program), str(tmp_path / "absent"))))
    (plan,) = looks.ahead().of(program.stat().st_ino)
    assert plan.verdict.libraries == ("openssl",)


def test_an_upgraded_file_is_another_file(library, system_libssl, looks, start):
    start(library)
    old = library.stat().st_ino
    assert looks.now().of(old)
    fresh = library.with_name("libssl.new")
    shutil.copy(system_libssl, fresh)
    fresh.rename(library)
    start(library)
    assert looks.now().of(library.stat().st_ino)
    assert library.stat().st_ino != old


@needs_root
def test_a_deleted_file_is_reached_through_the_process(library, looks, start):
    pid = start(library)
    inode = library.stat().st_ino
    library.unlink()
    (plan,) = looks.by(pid).of(inode)
    assert f"/{pid}/map_files/" in plan.path
    assert plan.usable


@needs_root
def test_a_file_in_another_mount_namespace_is_reached_through_the_process(library, looks, start, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    script = f'mount -t tmpfs tmpfs {hidden} && cp {library} {hidden}/libssl.so.3 && exec "$@"'
    pid = start(hidden / "libssl.so.3", "unshare", "--mount", "sh", "-c", script, "-")
    assert not (hidden / "libssl.so.3").exists()
    assert [plan.verdict.path for plan in looks.by(pid).plans if plan.usable] == [str(hidden / "libssl.so.3")]


def test_a_path_is_shown_as_users_know_it(library, looks, start, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(library)
    assert shown_path(str(link)) == str(library)
    (plan,) = looks.by(start(library)).of(library.stat().st_ino)
    assert shown_path(plan.path) == str(library)


@pytest.fixture
def image(library, tmp_path) -> Iterator[Path]:
    """The bottom layer of containers, with the library in it."""
    with scratch_file_system(tmp_path / "layers") as layers:
        (layers / "image").mkdir()
        shutil.copy(library, layers / "image" / library.name)
        yield layers / "image"


@needs_root
def test_containers_of_one_image_share_one_plan(image, library, looks, start):
    roots = [mount_overlay(image.parent / name, image) for name in ("first", "second")]
    pids = [start(root / library.name) for root in roots]
    first, second = (looks.by(pid) for pid in pids)
    assert len([plan for plan in first.plans if plan.usable]) == 1
    assert second.plans == []
    result = second.result
    assert result.can_be_probed(result.identity((roots[1] / library.name).stat().st_ino))
    assert first.result.kernel_files.keys() != result.kernel_files.keys()
    looks.scanner.forget(first.plans[0].identity)
    assert len(looks.by(pids[1]).plans) == 1


@needs_root
def test_a_library_that_a_container_changed_has_a_plan_of_its_own(image, library, looks, start):
    roots = [mount_overlay(image.parent / name, image) for name in ("first", "second")]
    os.chown(roots[1] / library.name, 1, 1)
    for root in roots:
        assert [bool(plan.usable) for plan in looks.by(start(root / library.name)).plans] == [True]


@needs_root
def test_a_library_on_the_host_and_in_a_container_has_one_plan(image, library, looks, start):
    assert len(looks.by(start(image / library.name)).plans) == 1
    root = mount_overlay(image.parent / "first", image)
    assert looks.by(start(root / library.name)).plans == []


def test_a_library_that_was_written_to_in_place_is_planned_again(library, looks, start):
    pid = start(library)
    (before,) = looks.by(pid).plans
    with library.open("ab") as file:
        file.write(b"\0")
    (after,) = looks.by(pid).plans
    assert is_same_inode(before.identity, after.identity)
    os.utime(library)
    assert len(looks.by(pid).plans) == 1
    assert looks.by(pid).plans == []


def test_one_that_is_no_library_any_more_is_told_once(library, looks, start):
    pid = start(library)
    looks.by(pid)
    library.write_bytes(Path(system_file("libc.so.6")).read_bytes())
    (plan,) = looks.by(pid).plans
    assert plan.libraries == ()
    assert looks.by(pid).plans == []


def test_what_cannot_be_probed_is_remembered_while_it_is_mapped(looks, start, tmp_path, monkeypatch):
    program = tmp_path / "program.so"
    shutil.copy(system_file("libc.so.6"), program)
    looked_at = []
    examine = looks.scanner._locator.examine
    monkeypatch.setattr(
        looks.scanner._locator,
        "examine",
        lambda files, **until: examine([looked_at.append(file.shown) or file for file in files], **until),
    )

    process = start(program)
    looks.now()
    looks.now()
    assert looked_at.count(str(program)) == 1, "known"
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    looks.now()
    looks.by(start(program))
    assert looked_at.count(str(program)) == 2, "forgotten"
