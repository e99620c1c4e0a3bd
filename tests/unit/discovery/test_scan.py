# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_qtap.discovery.inodes import is_same_inode
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.scan import LibraryScanner, process_ids, shown_path
from tests.support.overlays import mount_overlay, scratch_file_system

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="map_files and mounts need root")

LOAD = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(flush=True); sys.stdin.read()"


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Start a process that loads a library and stays; gives its pid once the library is mapped."""
    running = []

    def start(library: Path | str, *prefix: str) -> int:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", LOAD, str(library)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        running.append(process)
        assert process.stdout.readline() == b"\n"
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
def scanner() -> LibraryScanner:
    return LibraryScanner(LibraryLocator(None))


def system_file(name: str) -> str:
    """Path of a library that this process has mapped."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith("/" + name):
            return line.split(None, 5)[5]
    raise FileNotFoundError(name)


def of(plans, inode: int):
    return [plan for plan in plans if plan.identity.inode == inode]


def test_libraries_on_disk_are_planned_once(system_libssl, scanner):
    inode = system_libssl.stat().st_ino
    (plan,) = of(scanner.ahead_of_need(), inode)
    assert plan.sites
    assert scanner.ahead_of_need() == ()
    scanner.forget(plan.identity)
    assert len(of(scanner.ahead_of_need(), inode)) == 1


def test_a_running_process_is_found_with_its_library(library, scanner, start):
    pids = {start(library), start(library)}
    result = scanner.mapped_now()
    assert pids <= result.processes
    (plan,) = of(result.plans, library.stat().st_ino)
    assert plan.sites
    again = scanner.mapped_now()
    assert pids <= again.processes
    assert not of(again.plans, library.stat().st_ino)


def test_a_process_without_a_library_is_not_among_them(scanner, start):
    pid = start("libc.so.6")
    result = scanner.mapped_now()
    assert pid not in result.processes
    assert pid in process_ids()


def test_a_notice_about_one_process_is_answered_once(library, scanner, start):
    pid = start(library)
    (plan,) = of(scanner.mapped_by(pid).plans, library.stat().st_ino)
    assert plan.sites
    assert not of(scanner.mapped_by(pid).plans, library.stat().st_ino)


def test_the_files_that_a_notice_may_be_about_are_those_that_can_be_probed(library, scanner, start):
    pid = start(library)
    result = scanner.mapped_by(pid)
    assert result.processes == {pid}
    assert result.can_be_probed(result.identity(library.stat().st_ino))
    assert result.identity(1) is None


def test_a_file_that_cannot_be_probed_makes_no_tls_process(scanner, start, tmp_path):
    # As with NSS, whose library is called libssl3.so.
    namesake = tmp_path / "libssl3.so"
    shutil.copy(system_file("libc.so.6"), namesake)
    pid = start(namesake)
    result = scanner.mapped_now()
    (plan,) = of(result.plans, namesake.stat().st_ino)
    assert plan.sites == ()
    assert pid not in result.processes
    result = scanner.mapped_by(pid)
    assert not result.can_be_probed(result.identity(namesake.stat().st_ino))


def test_a_notice_about_a_process_that_is_gone_is_answered_by_nothing(scanner):
    assert scanner.mapped_by(2**22 + 1).kernel_files == {}


def test_a_file_that_the_user_named_needs_no_name_of_a_library(library, tmp_path, start):
    program = library.rename(tmp_path / "program.bin")
    inode = program.stat().st_ino
    scanner = LibraryScanner(LibraryLocator(None), named=(str(program), str(tmp_path / "absent")))
    (plan,) = of(scanner.ahead_of_need(), inode)
    assert (plan.library, bool(plan.sites)) == ("openssl", True)
    assert start(program) in scanner.mapped_now().processes


def test_an_upgraded_file_is_another_file(library, system_libssl, scanner, start):
    start(library)
    old = library.stat().st_ino
    assert of(scanner.mapped_now().plans, old)
    fresh = library.with_name("libssl.new")
    shutil.copy(system_libssl, fresh)
    fresh.rename(library)
    start(library)
    assert [plan.identity.inode for plan in of(scanner.mapped_now().plans, library.stat().st_ino)]
    assert library.stat().st_ino != old


@needs_root
def test_a_deleted_file_is_reached_through_the_process(library, scanner, start):
    pid = start(library)
    inode = library.stat().st_ino
    library.unlink()
    (plan,) = of(scanner.mapped_by(pid).plans, inode)
    assert plan.path.startswith(f"/proc/{pid}/map_files/")
    assert plan.sites


@needs_root
def test_a_file_in_another_mount_namespace_is_reached_through_the_process(library, scanner, start, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    script = f'mount -t tmpfs tmpfs {hidden} && cp {library} {hidden}/libssl.so.3 && exec "$@"'
    pid = start(hidden / "libssl.so.3", "unshare", "--mount", "sh", "-c", script, "-")
    assert not (hidden / "libssl.so.3").exists()
    plans = scanner.mapped_by(pid).plans
    assert [bool(plan.sites) for plan in plans] == [True]


def test_a_path_is_shown_as_users_know_it(library, scanner, start, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(library)
    assert shown_path(str(link)) == str(library)
    (plan,) = scanner.mapped_by(start(library)).plans
    assert shown_path(plan.path) == str(library)


@pytest.fixture
def image(library, tmp_path) -> Iterator[Path]:
    """The bottom layer of containers, with the library in it."""
    with scratch_file_system(tmp_path / "layers") as layers:
        (layers / "image").mkdir()
        shutil.copy(library, layers / "image" / library.name)
        yield layers / "image"


@needs_root
def test_containers_of_one_image_share_one_plan(image, library, scanner, start):
    roots = [mount_overlay(image.parent / name, image) for name in ("first", "second")]
    pids = [start(root / library.name) for root in roots]
    first, second = (scanner.mapped_by(pid) for pid in pids)
    assert [bool(plan.sites) for plan in first.plans] == [True]
    assert second.plans == []
    assert second.can_be_probed(second.identity((roots[1] / library.name).stat().st_ino))
    assert first.kernel_files.keys() != second.kernel_files.keys()
    scanner.forget(first.plans[0].identity)
    assert len(scanner.mapped_by(pids[1]).plans) == 1


@needs_root
def test_a_library_that_a_container_changed_has_a_plan_of_its_own(image, library, scanner, start):
    roots = [mount_overlay(image.parent / name, image) for name in ("first", "second")]
    os.chown(roots[1] / library.name, 1, 1)
    for root in roots:
        assert [bool(plan.sites) for plan in scanner.mapped_by(start(root / library.name)).plans] == [True]


@needs_root
def test_a_library_on_the_host_and_in_a_container_has_one_plan(image, library, scanner, start):
    assert len(scanner.mapped_by(start(image / library.name)).plans) == 1
    root = mount_overlay(image.parent / "first", image)
    assert scanner.mapped_by(start(root / library.name)).plans == []


def test_a_library_that_was_written_to_in_place_is_planned_again(library, scanner, start):
    pid = start(library)
    (before,) = scanner.mapped_by(pid).plans
    with library.open("ab") as file:
        file.write(b"\0")
    (after,) = scanner.mapped_by(pid).plans
    assert is_same_inode(before.identity, after.identity)
    os.utime(library)
    assert len(scanner.mapped_by(pid).plans) == 1
    assert scanner.mapped_by(pid).plans == []


def test_what_cannot_be_probed_is_remembered_while_it_is_mapped(scanner, start, tmp_path):
    namesake = tmp_path / "libssl3.so"
    shutil.copy(system_file("libc.so.6"), namesake)
    process = start(namesake)
    (plan,) = scanner.mapped_by(process).plans
    assert not of(scanner.mapped_now().plans, plan.identity.inode), "known"
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    scanner.mapped_now()
    assert len(scanner.mapped_by(start(namesake)).plans) == 1, "forgotten"
