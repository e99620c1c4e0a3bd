# SPDX-License-Identifier: Apache-2.0
"""Real probes in real files that come and go, and what the kernel side is told of them."""

import contextlib
import logging
import os
import resource
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from otel_qtap.agent import probed_files as module
from otel_qtap.agent.probed_files import Met, ProbedFiles
from otel_qtap.agent.write_watch import Written
from otel_qtap.capture.attach import Site
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_items
from otel_qtap.discovery import analysis
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.mappings import code_mappings, read_maps
from otel_qtap.discovery.plan import Cause, FilePlan
from otel_qtap.discovery.scan import LibraryScanner
from otel_qtap.errors import CaptureError
from tests.support.overlays import mounted_overlay, scratch_file_system
from tests.support.two_versions import TwoVersions
from tests.unit.agent.conftest import Mapper

pytestmark = pytest.mark.bpf

OTHER, LIBRARY = 2, 3
LIBCRYPTO = Path("/usr/lib/x86_64-linux-gnu/libcrypto.so.3")


def links() -> int:
    """BPF links that this process holds."""
    targets = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            targets.append(str(path.readlink()))
    return len([target for target in targets if "bpf_link" in target])


def planned(*paths: Path) -> list[FilePlan]:
    """What a scanner finds on disk."""
    plans: list[FilePlan] = []
    named = tuple(map(str, paths))
    LibraryScanner(LibraryLocator(None), roots=(), named=named).ahead_of_need(plans.append)
    return plans


class Keeper:
    """Probed files, and a scanner that sees the processes of a test."""

    def __init__(self, session: KernelSession, proc: str, grace_seconds: float = 0.0) -> None:
        self.scanner = LibraryScanner(LibraryLocator(None), proc=proc, roots=())
        self.files = ProbedFiles(session, self.scanner, grace_seconds=grace_seconds)
        self._session = session

    def start(self) -> None:
        self.files.start([])

    def look(self) -> None:
        self.files.follow(wait=True)

    def hear(self, process: Mapper, file: Path, device: int = 1) -> Met:
        """What comes of a notice that this process maps this file."""
        while True:
            now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            met = self.files.meet(process.pid, (file.stat().st_ino, device), now)
            if met is not Met.AWAITED:
                return met
            self.files.advance()

    def marks(self) -> list[tuple[int, int]]:
        """Inodes and kinds of all files that the kernel side knows, but for what every Python maps."""
        everywhere = {mapping.inode for mapping in code_mappings(read_maps("/proc", os.getpid()), 0)}
        known = (
            (struct.unpack_from("<Q", key)[0], struct.unpack_from("<I", value)[0])
            for key, value in map_items(self._session.maps["known_files"])
        )
        return sorted((inode, kind) for inode, kind in known if inode not in everywhere)


@pytest.fixture
def keep(kernel_session: KernelSession) -> Iterator[Callable[..., Keeper]]:
    made: list[Keeper] = []

    def new(proc: str, **options: float) -> Keeper:
        made.append(Keeper(kernel_session, proc, **options))
        return made[-1]

    yield new
    for keeper in made:
        keeper.files.detach()
    for key, _ in map_items(kernel_session.maps["known_files"]):
        map_delete(kernel_session.maps["known_files"], key)


def test_a_file_that_turns_out_to_hold_nothing_when_all_are_gone_who_mapped_it_is_marked_so(
    keep: Callable[..., Keeper],
    mapper: Mapper,
    library: Path,
    proc: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = tmp_path / "gone"

    def refuse(*_: object, **__: object) -> None:
        while not gone.exists():
            time.sleep(0.01)
        raise ElfError("no")

    monkeypatch.setattr(analysis, "analyse", refuse)
    keeper = keep(proc(mapper.pid))
    inode = library.stat().st_ino
    assert keeper.files.meet(mapper.pid, (inode, 1)) is Met.AWAITED
    mapper.end()
    gone.touch()
    while keeper.files.is_busy:
        keeper.files.advance()
    assert (inode, OTHER) in keeper.marks()


def test_a_file_that_cannot_be_probed_is_told_once_and_named_until_it_can(
    keep: Callable[..., Keeper],
    mapper: Mapper,
    library: Path,
    proc: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)

    def refuse(*_: object) -> None:
        raise CaptureError(f"cannot probe {library}: refused")

    keeper = keep(proc(mapper.pid))
    with monkeypatch.context() as patch:
        patch.setattr(module, "Probes", refuse)
        keeper.start()
        keeper.look()
        keeper.hear(mapper, library)
    assert list(keeper.files.failing_since_start.values()) == [f"cannot probe {library}: refused"]
    assert caplog.messages == [f"cannot probe {library}: refused"]
    assert keeper.marks() == [], "whoever maps it next is told of, too"

    keeper.look()
    assert keeper.files.failing_since_start == {}
    assert "can be probed now" in caplog.messages[1]
    assert keeper.marks() == [(library.stat().st_ino, LIBRARY)]


def test_a_file_that_nobody_maps_and_that_is_gone_is_left(
    keep: Callable[..., Keeper], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    keeper = keep(proc(mapper.pid))
    keeper.start()
    library.unlink()
    keeper.look()
    assert (len(keeper.files), links()) == (1, 2), "deleted, and still in use"

    mapper.end()
    keeper.look()
    assert (len(keeper.files), links()) == (0, 0)


def test_a_file_that_comes_back_is_probed_again(
    keep: Callable[..., Keeper], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    keeper = keep(proc(mapper.pid))
    keeper.start()
    mapper.end()
    keeper.look()
    assert len(keeper.files) == 0

    second = Mapper(library)
    proc(second.pid)
    assert keeper.hear(second, library) is Met.LIBRARY
    assert len(keeper.files) == 1
    second.end()


def test_a_file_keeps_its_probes_for_a_while_after_its_last_process(
    keep: Callable[..., Keeper],
    mapper: Mapper,
    library: Path,
    proc: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    keeper = keep(proc(mapper.pid), grace_seconds=10)
    keeper.start()
    mapper.end()
    proc()
    keeper.look()
    assert keeper.marks() == [], "whoever comes now is told of, and keeps the probes"
    now[0] += 9
    second = Mapper(library)
    proc(second.pid)
    keeper.hear(second, library)
    second.end()
    proc()
    now[0] += 9
    keeper.look()
    assert len(keeper.files) == 1, "in use meanwhile"

    now[0] += 10
    keeper.look()
    assert (len(keeper.files), links()) == (0, 0)


def test_the_kernel_knows_the_files_that_are_in_use_and_no_others(
    keep: Callable[..., Keeper], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    namesake = library.with_name("libssl3.so")
    shutil.copy(LIBCRYPTO, namesake)
    other = Mapper(namesake)
    keeper = keep(proc(mapper.pid, other.pid))
    keeper.start()
    known, unknown = (library.stat().st_ino, LIBRARY), (namesake.stat().st_ino, OTHER)
    assert keeper.marks() == sorted([known, unknown])

    for device in (
        0xFFF00002,
        0xFFF00003,
        0xFFF00004,
    ):  # each mount of a container shows the file on another device
        assert keeper.hear(mapper, library, device) is Met.LIBRARY
        assert keeper.hear(other, namesake, device) is Met.OTHER
    assert keeper.hear(mapper, LIBCRYPTO) is Met.ABSENT
    assert keeper.marks() == sorted(4 * [known, unknown])
    keeper.look()
    assert keeper.marks() == sorted([known, unknown])
    for process in (mapper, other):
        process.end()
    keeper.look()
    assert keeper.marks() == []


def test_a_file_that_was_written_to_in_place_gets_fresh_probes(
    keep: Callable[..., Keeper], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    keeper = keep(proc(mapper.pid))
    keeper.start()
    with library.open("ab") as file:
        file.write(b"\0")
    keeper.look()
    assert (len(keeper.files), links()) == (1, 2)

    library.write_bytes(LIBCRYPTO.read_bytes())
    keeper.look()
    assert (len(keeper.files), links()) == (0, 0), "it is no TLS library any more"


def test_what_is_on_disk_stays_probed_with_no_process_to_map_it(
    keep: Callable[..., Keeper], library: Path, proc: Callable[..., str]
) -> None:
    keeper = keep(proc())
    keeper.files.start(planned(library))
    keeper.look()

    assert len(keeper.files) == 1
    assert keeper.marks() == [(library.stat().st_ino, LIBRARY)]


def test_files_without_end_leave_descriptors_to_everything_else(
    keep: Callable[..., Keeper], library: Path, proc: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    copies = [library.with_name(f"libssl-{number}.so") for number in range(3)]
    for copy in copies:
        shutil.copy(library, copy)
    plans = planned(*copies)
    keeper = keep(proc())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Room for the reserve and for one file's probes.
    resource.setrlimit(resource.RLIMIT_NOFILE, (256 + 2, limits[1]))
    try:
        keeper.files.start(plans)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert len(keeper.files) == 1
    assert [record.message for record in caplog.records if "RLIMIT_NOFILE" in record.message] == [
        "1 files are probed and no more can be: raise RLIMIT_NOFILE"
    ]


def test_what_was_told_before_a_file_got_its_mark_costs_no_look(
    keep: Callable[..., Keeper], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    keeper = keep(proc(mapper.pid))
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    keeper.start()
    proc()
    status = library.stat()
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    assert keeper.files.meet(mapper.pid, (status.st_ino, device), before) is Met.LIBRARY
    assert keeper.hear(mapper, library, device) is Met.ABSENT, "told after: it is looked for, and gone"


def test_several_libraries_in_one_file_are_probed_together(
    keep: Callable[..., Keeper],
    mapper: Mapper,
    library: Path,
    proc: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (whole,) = planned(library)
    (plan,) = whole.libraries
    halves = tuple(
        replace(plan, library=name, sites=sites)
        for name, sites in (("one", plan.sites[:2]), ("two", plan.sites[2:]))
    )
    given: list[list[Site]] = []
    attach = module.Probes

    def probes(session: KernelSession, path: str, sites: list[Site], *rest: object) -> object:
        given.append(sites)
        return attach(session, path, sites)

    monkeypatch.setattr(module, "Probes", probes)
    keeper = keep(proc())
    keeper.files.start([replace(whole, libraries=halves)])
    assert (len(keeper.files), links()) == (1, 2)
    (sites,) = given
    assert len(sites) == len(plan.sites)
    numbers = [site.cookie >> 32 for site in sites]
    assert len(set(numbers[:2])) == len(set(numbers[2:])) == 1
    assert len(set(numbers)) == 2


def test_a_process_is_told_what_became_of_its_files(
    keep: Callable[..., Keeper],
    mapper: Mapper,
    library: Path,
    proc: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeper = keep(proc(mapper.pid))
    assert keeper.files.verdicts(mapper.pid) == ()

    def refuse(*_: object) -> None:
        raise CaptureError("refused by the kernel")

    with monkeypatch.context() as patch:
        patch.setattr(module, "Probes", refuse)
        keeper.start()
    (verdict,) = keeper.files.verdicts(mapper.pid)
    assert verdict.libraries == ()
    assert verdict.left_out == (("openssl", "refused by the kernel", Cause.KERNEL),)
    keeper.look()
    (verdict,) = keeper.files.verdicts(mapper.pid)
    assert (verdict.path, verdict.libraries) == (str(library), ("openssl",))


@pytest.fixture
def versions(tmp_path: Path) -> TwoVersions:
    return TwoVersions(tmp_path)


def test_what_is_copied_over_a_probed_program_can_be_run_at_once(
    keep: Callable[..., Keeper], versions: TwoVersions, proc: Callable[..., str]
) -> None:
    keeper = keep(proc(), grace_seconds=3600)
    keeper.files.start(planned(versions.path))
    assert (len(keeper.files), versions.run()) == (1, 0)
    assert not keeper.files.leave_written()

    versions.overwrite(2)
    assert versions.run() != 0, "else this test would show nothing"
    assert keeper.files.leave_written()
    assert versions.run() == 0
    assert (len(keeper.files), links(), keeper.marks()) == (0, 0, [])
    versions.overwrite(1)
    assert not keeper.files.leave_written(), "it is watched no more"


def test_what_no_event_told_of_is_seen_at_the_next_look_around(
    keep: Callable[..., Keeper],
    versions: TwoVersions,
    proc: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module.WriteWatch, "add", lambda *_: None)
    keeper = keep(proc(), grace_seconds=3600)
    keeper.files.start(planned(versions.path))
    versions.overwrite(2)
    assert not keeper.files.leave_written()

    keeper.look()
    assert (len(keeper.files), links(), keeper.marks()) == (0, 0, [])
    assert versions.run() == 0


def test_more_writes_than_are_told_have_all_files_looked_at(
    keep: Callable[..., Keeper],
    versions: TwoVersions,
    library: Path,
    proc: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeper = keep(proc())
    keeper.files.start(planned(versions.path, library))
    assert len(keeper.files) == 2
    versions.overwrite(2)
    monkeypatch.setattr(module.WriteWatch, "written", lambda _: Written(frozenset(), is_incomplete=True))
    assert keeper.files.leave_written()
    assert len(keeper.files) == 1
    assert not keeper.files.leave_written()


def test_a_library_that_is_written_to_is_left_before_it_is_looked_at_again(
    keep: Callable[..., Keeper], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    keeper = keep(proc(mapper.pid))
    keeper.start()
    with library.open("ab") as file:
        file.write(b"\0")
    status = library.stat()
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert keeper.files.meet(mapper.pid, (status.st_ino, 1), now) is Met.AWAITED
    assert (len(keeper.files), links(), keeper.marks()) == (0, 0, [])

    assert keeper.hear(mapper, library) is Met.LIBRARY
    assert (len(keeper.files), links()) == (1, 2)
    assert not keeper.files.leave_written(), "that write is no news"


def test_what_becomes_a_library_by_being_written_to_is_awaited(
    keep: Callable[..., Keeper], library: Path, proc: Callable[..., str]
) -> None:
    content = library.read_bytes()
    library.write_bytes(LIBCRYPTO.read_bytes())
    process = Mapper(library)
    keeper = keep(proc(process.pid))
    keeper.start()
    assert keeper.marks() == [(library.stat().st_ino, OTHER)]

    library.write_bytes(content)
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert keeper.files.meet(process.pid, (library.stat().st_ino, 1), now) is Met.AWAITED
    assert keeper.hear(process, library) is Met.LIBRARY
    assert {kind for _, kind in keeper.marks()} == {LIBRARY}
    process.end()


def test_what_a_container_overwrites_in_its_own_layer_is_left(
    keep: Callable[..., Keeper], tmp_path: Path, proc: Callable[..., str]
) -> None:
    keeper = keep(proc(), grace_seconds=3600)
    with scratch_file_system(tmp_path / "layers") as layers:
        (layers / "image").mkdir()
        with mounted_overlay(layers / "container", layers / "image") as merged:
            versions = TwoVersions(merged)
            keeper.files.start(planned(versions.path))
            assert (len(keeper.files), versions.run()) == (1, 0)
            versions.overwrite(2)
            assert keeper.files.leave_written()
            assert (len(keeper.files), versions.run()) == (0, 0)
