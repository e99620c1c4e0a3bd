# SPDX-License-Identifier: Apache-2.0
"""Probing real library files and meeting real processes, with the kernel's notices made by hand."""

import contextlib
import logging
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from otel_qtap.agent import watcher as watcher_module
from otel_qtap.agent.containers import Containers
from otel_qtap.agent.instrumented import InstrumentationJudge
from otel_qtap.agent.watcher import Watcher, chosen_processes
from otel_qtap.capture.records import Kind, ProcessNotice
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_items, map_update
from otel_qtap.discovery.containers.directory import Directory
from otel_qtap.discovery.containers.enquiry import Ways
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.discovery.scan import LibraryScanner
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.errors import CaptureError
from otel_qtap.model.identity import ProcessFacts
from otel_qtap.settings import load_settings

pytestmark = pytest.mark.bpf

OTHER, LIBRARY = 2, 3
LIBSSL = "/usr/lib/x86_64-linux-gnu/libssl.so.3"
MAPPER = """
import mmap, sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC)
        globals()[path] = mapping
print("mapped", flush=True)
sys.stdin.readline()
"""


class Mapper:
    """A process that maps files as code until it is let go."""

    def __init__(self, *paths: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", MAPPER, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"mapped\n"
        self.pid = self._process.pid

    def notice(self, kind: Kind, file: Path | None = None) -> ProcessNotice:
        """What the kernel would say of it."""
        ticks = ProcessReader().start_ticks(self.pid)
        assert ticks is not None
        inode = file.stat().st_ino if file else 0
        return ProcessNotice(kind, self.pid, ticks * 10_000_000, 0, inode, 1, 0, "python3")

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.communicate(b"\n")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    copy = tmp_path / "libssl.so.3"
    shutil.copy(LIBSSL, copy)
    return copy


@pytest.fixture
def mapper(library: Path) -> Iterator[Mapper]:
    process = Mapper(library)
    yield process
    process.end()


@pytest.fixture
def proc(tmp_path: Path) -> Callable[..., str]:
    """A procfs that shows some of the real processes only."""

    def show(*pids: int) -> str:
        directory = tmp_path / "proc"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for pid in pids:
            (directory / str(pid)).symlink_to(f"/proc/{pid}")
        return str(directory)

    return show


def links() -> int:
    """BPF links that this process holds."""
    targets = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            targets.append(str(path.readlink()))
    return len([target for target in targets if "bpf_link" in target])


class Judge(InstrumentationJudge):
    """Finds an SDK in every process, at the second look."""

    def __init__(self) -> None:
        super().__init__(Selectors.parse("", ""))

    def review(self, undecided: Iterable[ProcessFacts]) -> list[ProcessFacts]:
        return [replace(facts, instrumentation="otlp_connection") for facts in undecided]


class Met:
    """A watcher, and what it told of processes."""

    def __init__(
        self,
        session: KernelSession,
        proc: str,
        selectors: Selectors | None = None,
        grace_seconds: float = 0.0,
        containers: Containers | None = None,
    ) -> None:
        self.processes: list[tuple[ProcessFacts, bool]] = []
        self.judge = Judge()
        self.watcher = Watcher(
            session=session,
            scanner=LibraryScanner(LibraryLocator(None), proc=proc, roots=()),
            processes=ProcessReader(),
            selectors=selectors or Selectors.parse("", ""),
            on_process=lambda facts, allowed: self.processes.append((facts, allowed)),
            instrumented=self.judge,
            grace_seconds=grace_seconds,
            containers=containers,
        )

    @property
    def pids(self) -> list[int]:
        return [facts.process.tgid for facts, _ in self.processes]


@pytest.fixture
def meet(kernel_session: KernelSession) -> Iterator[Callable[..., Met]]:
    made: list[Met] = []

    def new(
        proc: str,
        selectors: Selectors | None = None,
        grace_seconds: float = 0.0,
        containers: Containers | None = None,
    ) -> Met:
        made.append(Met(kernel_session, proc, selectors, grace_seconds, containers))
        return made[-1]

    yield new
    for met in made:
        met.watcher.detach()
    for name in ("known_files", "excluded_processes"):
        for key, _ in map_items(kernel_session.maps[name]):
            map_delete(kernel_session.maps[name], key)


def test_at_start_what_is_mapped_is_probed_and_its_processes_are_told(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str]
) -> None:
    bystander = Mapper()
    met = meet(proc(mapper.pid, bystander.pid))
    met.watcher.start([])
    bystander.end()

    assert met.watcher.files == 1
    assert met.pids == [mapper.pid]
    met.watcher.rescan()
    assert (met.watcher.files, met.pids) == (1, [mapper.pid]), "nothing is told twice"


def test_a_process_that_turns_out_to_be_instrumented_is_told_again_once(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str]
) -> None:
    met = meet(proc(mapper.pid))
    met.watcher.start([])
    met.watcher.review_instrumentation()
    met.watcher.review_instrumentation()

    assert [facts.instrumentation for facts, _ in met.processes] == ["", "otlp_connection"]
    assert met.pids == [mapper.pid] * 2


def test_instrumentation_of_an_excluded_process_is_nobodys_business(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str]
) -> None:
    met = meet(proc(mapper.pid), Selectors.parse("", f"pid={mapper.pid}"))
    met.watcher.start([])
    met.watcher.review_instrumentation()

    assert [facts.instrumentation for facts, _ in met.processes] == [""]


def test_a_notice_of_a_new_file_probes_it_and_tells_of_its_process(
    meet: Callable[..., Met], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    met = meet(proc(mapper.pid))
    met.watcher.notice(mapper.notice(Kind.FILE_MAPPED, library))

    assert (met.watcher.files, met.pids) == (1, [mapper.pid])
    assert not met.watcher.wants_attention


def test_a_file_that_is_no_library_is_looked_at_once_more_and_let_be(
    meet: Callable[..., Met], mapper: Mapper, tmp_path: Path, proc: Callable[..., str]
) -> None:
    other = tmp_path / "other"
    other.touch()
    met = meet(proc(mapper.pid))
    met.watcher.notice(mapper.notice(Kind.FILE_MAPPED, other))

    assert met.watcher.wants_attention
    while met.watcher.wants_attention:
        met.watcher.look_again()
    assert met.pids == []


def test_another_process_with_a_known_pid_is_met_anew(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str]
) -> None:
    met = meet(proc(mapper.pid))
    seen = mapper.notice(Kind.PROCESS_SEEN)
    for notice in (seen, seen, seen._replace(kind=Kind.PROCESS_EXITED), seen):
        met.watcher.notice(notice)

    assert met.pids == [mapper.pid] * 2
    met.watcher.notice(seen._replace(start_time_ns=seen.start_time_ns + 10**9))
    assert met.pids == [mapper.pid] * 2, "that one is gone already: its facts are not this one's"


def test_selectors_decide_and_what_they_exclude_is_told_as_well(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str]
) -> None:
    settings = load_settings({"OTEL_QTAP_CAPTURE_EXCLUDE": f"pid={mapper.pid}"})
    met = meet(proc(mapper.pid), chosen_processes(settings))
    met.watcher.start([])

    assert [(facts.process.tgid, allowed) for facts, allowed in met.processes] == [(mapper.pid, False)]


def test_other_selectors_apply_at_once_to_processes_that_are_known(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], kernel_session: KernelSession
) -> None:
    met = meet(proc(mapper.pid))
    met.watcher.start([])
    key = struct.pack("<I", mapper.pid)
    for include, allowed in (("nothing-of-this-name", False), ("nothing-else", None), ("", True)):
        met.processes.clear()
        met.watcher.choose(Selectors.parse(include, ""))
        assert [verdict for _, verdict in met.processes] == ([] if allowed is None else [allowed])
        with contextlib.suppress(FileNotFoundError):
            map_delete(kernel_session.maps["excluded_processes"], key)
            assert include, "an included process is not in the kernel's map of excluded ones"
            map_update(kernel_session.maps["excluded_processes"], key, struct.pack("<Q", 1))


def test_selectors_never_choose_the_agent_itself(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], kernel_session: KernelSession
) -> None:
    met = meet(proc(mapper.pid), Selectors.parse("", "*"))
    met.watcher.start([])
    met.watcher.never(mapper.pid)
    met.watcher.choose(Selectors.parse("", ""))

    map_delete(kernel_session.maps["excluded_processes"], struct.pack("<I", mapper.pid))  # it was there


def test_a_file_that_cannot_be_probed_is_told_once_and_named_until_it_can(
    meet: Callable[..., Met],
    mapper: Mapper,
    library: Path,
    proc: Callable[..., str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)

    def refuse(*_: object) -> None:
        raise CaptureError(f"cannot probe {library}: refused")

    met = meet(proc(mapper.pid))
    with monkeypatch.context() as patch:
        patch.setattr(watcher_module, "Probes", refuse)
        met.watcher.start([])
        assert not met.watcher.rescan()
    assert list(met.watcher.failing_since_start.values()) == [f"cannot probe {library}: refused"]
    assert caplog.messages == [f"cannot probe {library}: refused"]

    assert met.watcher.rescan()
    assert met.watcher.failing_since_start == {}
    assert "can be probed now" in caplog.messages[1]


def test_a_file_that_nobody_maps_and_that_is_gone_is_left(
    meet: Callable[..., Met], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    met = meet(proc(mapper.pid))
    met.watcher.start([])
    library.unlink()
    met.watcher.rescan()
    assert met.watcher.files == 1, "deleted, and still in use"
    assert links() == 2

    mapper.end()
    met.watcher.rescan()
    assert met.watcher.files == 0
    assert links() == 0


def test_a_file_that_comes_back_is_probed_again(
    meet: Callable[..., Met], library: Path, proc: Callable[..., str]
) -> None:
    first = Mapper(library)
    met = meet(proc(first.pid))
    met.watcher.start([])
    first.end()
    met.watcher.rescan()
    assert met.watcher.files == 0

    second = Mapper(library)
    proc(second.pid)
    met.watcher.notice(second.notice(Kind.FILE_MAPPED, library))
    assert met.watcher.files == 1
    second.end()


def test_a_file_keeps_its_probes_for_a_while_after_its_last_process(
    meet: Callable[..., Met], library: Path, proc: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("otel_qtap.agent.watcher.time.monotonic", lambda: now[0])
    first = Mapper(library)
    met = meet(proc(first.pid), grace_seconds=10)
    met.watcher.start([])
    first.end()
    proc()
    met.watcher.rescan()
    now[0] += 9
    second = Mapper(library)
    proc(second.pid)
    met.watcher.notice(second.notice(Kind.FILE_MAPPED, library))
    second.end()
    proc()
    now[0] += 9
    met.watcher.rescan()
    assert met.watcher.files == 1, "in use meanwhile"

    now[0] += 10
    met.watcher.rescan()
    assert met.watcher.files == 0
    assert links() == 0


def marks(session: KernelSession) -> list[tuple[int, int]]:
    """Inodes and kinds of all files that the kernel side knows."""
    return [
        (struct.unpack_from("<Q", key)[0], struct.unpack_from("<I", value)[0])
        for key, value in map_items(session.maps["known_files"])
    ]


def test_the_kernel_knows_the_files_that_are_in_use_and_no_others(
    meet: Callable[..., Met],
    mapper: Mapper,
    library: Path,
    proc: Callable[..., str],
    kernel_session: KernelSession,
) -> None:
    namesake = library.with_name("libssl3.so")
    namesake.write_bytes(Path("/usr/lib/x86_64-linux-gnu/libcrypto.so.3").read_bytes())
    other = Mapper(namesake)
    met = meet(proc(mapper.pid, other.pid))
    met.watcher.start([])
    inode = library.stat().st_ino
    assert sorted(marks(kernel_session)) == sorted([(inode, LIBRARY), (namesake.stat().st_ino, OTHER)])

    # Each mount of a container shows the file on another device.
    notice = mapper.notice(Kind.FILE_MAPPED, library)
    for device in range(2, 5):
        met.watcher.notice(notice._replace(device=device))
    assert marks(kernel_session).count((inode, LIBRARY)) == 4
    met.watcher.rescan()
    assert marks(kernel_session).count((inode, LIBRARY)) == 1
    for process in (mapper, other):
        process.end()
    met.watcher.rescan()
    assert marks(kernel_session) == []


def test_a_library_that_only_has_the_name_makes_no_tls_process(
    meet: Callable[..., Met], library: Path, proc: Callable[..., str]
) -> None:
    library.write_bytes(Path("/usr/lib/x86_64-linux-gnu/libcrypto.so.3").read_bytes())
    mapper = Mapper(library)
    met = meet(proc(mapper.pid))
    met.watcher.notice(mapper.notice(Kind.FILE_MAPPED, library))
    mapper.end()

    assert (met.watcher.files, met.pids, met.watcher.wants_attention) == (0, [], False)


def test_a_file_that_was_written_to_in_place_gets_fresh_probes(
    meet: Callable[..., Met], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    met = meet(proc(mapper.pid))
    met.watcher.start([])
    with library.open("ab") as file:
        file.write(b"\0")
    met.watcher.rescan()
    assert (met.watcher.files, links()) == (1, 2)

    library.write_bytes(Path("/usr/lib/x86_64-linux-gnu/libcrypto.so.3").read_bytes())
    met.watcher.rescan()
    assert (met.watcher.files, links()) == (0, 0), "it is no TLS library any more"


def test_what_ended_processes_left_in_the_kernel_is_removed(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], kernel_session: KernelSession
) -> None:
    met = meet(proc())
    met.watcher.exclude(mapper.pid)
    met.watcher.rescan()
    excluded = kernel_session.maps["excluded_processes"]
    assert [key for key, _ in map_items(excluded)] == [struct.pack("<I", mapper.pid)]

    mapper.end()
    met.watcher.rescan()
    assert list(map_items(excluded)) == []


def test_what_is_on_disk_stays_probed_with_no_process_to_map_it(
    meet: Callable[..., Met], library: Path, proc: Callable[..., str]
) -> None:
    met = meet(proc())
    met.watcher.start([LibraryLocator(None).locate(str(library))])
    met.watcher.rescan()

    assert met.watcher.files == 1


def test_files_without_end_leave_descriptors_to_everything_else(
    meet: Callable[..., Met], library: Path, proc: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    copies = [library.with_name(f"libssl-{number}.so") for number in range(3)]
    for copy in copies:
        shutil.copy(library, copy)
    plans = [LibraryLocator(None).locate(str(copy)) for copy in copies]
    met = meet(proc())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Room for the reserve and for one file's probes, each of which may take two.
    resource.setrlimit(resource.RLIMIT_NOFILE, (256 + 2 * len(plans[0].sites), limits[1]))
    try:
        met.watcher.start(plans)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert met.watcher.files == 1
    assert [record.message for record in caplog.records if "RLIMIT_NOFILE" in record.message] == [
        "1 library files are probed and no more can be: raise RLIMIT_NOFILE"
    ]


class Runtime(Containers):
    """Tells of all processes that they are in one container, and its name when the test says so."""

    def __init__(self, name: str = "") -> None:
        super().__init__(Directory(Ways(sockets=())))
        self.name = name

    def complete(self, facts: ProcessFacts) -> tuple[ProcessFacts, bool]:
        known = replace(facts, container_id="c", service_name=self.name or facts.service_name)
        return known, not self.name


def names(met: Met) -> list[str]:
    return [facts.service_name for facts, _ in met.processes]


def test_a_process_is_kept_back_while_its_container_is_asked_about(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str]
) -> None:
    runtime = Runtime()
    met = meet(proc(mapper.pid), containers=runtime)
    met.watcher.start([])
    assert (met.pids, met.watcher.wants_attention) == ([], True)

    runtime.name = "web"
    met.watcher.complete(["other"])
    assert met.pids == []
    met.watcher.complete(["c"])
    assert names(met) == ["web"]
    met.watcher.look_again()
    assert (names(met), met.watcher.wants_attention) == (["web"], False)


def test_it_is_told_as_it_is_when_no_answer_comes_and_again_when_one_does(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "_HOLD_SECONDS", 0.0)
    runtime = Runtime()
    met = meet(proc(mapper.pid), containers=runtime)
    met.watcher.start([])
    met.watcher.look_again()
    runtime.name = "web"
    met.watcher.complete(["c"])

    assert names(met)[1:] == ["web"]
    assert names(met)[0].startswith("python")


def test_a_process_that_ends_while_it_is_kept_back_is_told_of(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str]
) -> None:
    runtime = Runtime()
    met = meet(proc(mapper.pid), containers=runtime)
    met.watcher.start([])
    gone = mapper.notice(Kind.PROCESS_EXITED)
    mapper.end()
    met.watcher.notice(gone)
    met.watcher.rescan()
    runtime.name = "web"
    met.watcher.complete(["c"])
    assert names(met) == ["web"]

    met.watcher.rescan()
    assert list(met.watcher.processes) == []


def test_what_a_container_is_called_decides_whether_it_is_captured(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "_HOLD_SECONDS", 0.0)
    runtime = Runtime()
    met = meet(proc(mapper.pid), Selectors.parse("service=web", ""), containers=runtime)
    met.watcher.start([])
    met.watcher.look_again()
    runtime.name = "web"
    met.watcher.complete(["c"])
    assert [allowed for _, allowed in met.processes] == [False, True]
