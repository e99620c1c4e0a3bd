# SPDX-License-Identifier: Apache-2.0
"""Meeting real processes and having their libraries probed, with the kernel's notices made by hand."""

import contextlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from otel_qtap.agent import watcher as watcher_module
from otel_qtap.agent.containers import Containers
from otel_qtap.agent.instrumented import InstrumentationJudge
from otel_qtap.agent.watcher import Watcher, chosen_processes
from otel_qtap.capture.records import Kind
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_items, map_lookup, map_update
from otel_qtap.discovery import scan
from otel_qtap.discovery.ciphertext_files import CiphertextFiles
from otel_qtap.discovery.containers.directory import Directory
from otel_qtap.discovery.containers.enquiry import Ways
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.discovery.scan import LibraryScanner
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.model.identity import ProcessFacts
from otel_qtap.settings import load_settings
from tests.unit.agent.conftest import Mapper

pytestmark = pytest.mark.bpf


class Judge(InstrumentationJudge):
    """Finds an SDK in every process, at the second look."""

    def __init__(self) -> None:
        super().__init__(Selectors.parse("", ""))

    is_due = True

    def review(self, undecided: Iterable[ProcessFacts]) -> list[ProcessFacts]:
        return [replace(facts, instrumentation="otlp_connection") for facts in undecided]


class Met:
    """A watcher, and what it told of processes."""

    def __init__(
        self,
        session: KernelSession,
        proc: str,
        selectors: Selectors | None = None,
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
            ciphertext=CiphertextFiles(LibraryLocator(None), proc=proc),
            instrumented=self.judge,
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
        containers: Containers | None = None,
    ) -> Met:
        made.append(Met(kernel_session, proc, selectors, containers))
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
    assert (met.watcher.files, met.watcher.is_busy) == (0, True), "its analysis is not waited for"
    while met.watcher.is_busy:
        met.watcher.advance()
    assert met.watcher.files == 1
    while met.watcher.wants_attention:
        met.watcher.look_again()
    assert (met.watcher.files, met.pids) == (1, [mapper.pid])
    assert not met.watcher.wants_attention


def test_a_process_that_is_gone_before_its_files_were_looked_at_is_told_of_as_it_was(
    meet: Callable[..., Met], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    met = meet(proc(mapper.pid))
    executable = Path(f"/proc/{mapper.pid}/exe").readlink()
    called = mapper.notice(Kind.PROCESS_SEEN)
    met.watcher.notice(mapper.notice(Kind.FILE_MAPPED, library))
    mapper.end()
    met.watcher.notice(called)

    assert [facts.executable for facts, _ in met.processes] == [str(executable)]


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


def test_a_process_that_maps_many_files_at_once_is_looked_at_as_a_whole(
    meet: Callable[..., Met],
    mapper: Mapper,
    library: Path,
    proc: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = []
    read_maps = scan.read_maps
    monkeypatch.setattr(scan, "read_maps", lambda *process: looks.append(process) or read_maps(*process))
    met = meet(proc(mapper.pid))
    for number in range(100):
        notice = mapper.notice(Kind.FILE_MAPPED, library)
        met.watcher.notice(notice._replace(inode=notice.inode + number))
    assert len(looks) == 1
    while met.watcher.is_busy or met.watcher.wants_attention:
        met.watcher.look_again()
        met.watcher.advance()
    assert met.pids == [mapper.pid]


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


def test_a_library_that_only_has_the_name_makes_no_tls_process(
    meet: Callable[..., Met], library: Path, proc: Callable[..., str]
) -> None:
    library.write_bytes(Path("/usr/lib/x86_64-linux-gnu/libcrypto.so.3").read_bytes())
    mapper = Mapper(library)
    met = meet(proc(mapper.pid))
    met.watcher.notice(mapper.notice(Kind.FILE_MAPPED, library))
    mapper.end()

    assert (met.watcher.files, met.pids, met.watcher.wants_attention) == (0, [], False)


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


def excluded_by_kernel(session: KernelSession) -> list[int]:
    keys = [key for key, _ in map_items(session.maps["excluded_processes"])]
    return [pid for key in keys for pid in struct.unpack("<I", key)]


def counting_since(session: KernelSession) -> int:
    """Since when nobody was included who had been excluded."""
    found = map_lookup(session.maps["probed_since"], struct.pack("<I", 0), 8)
    return int.from_bytes(found, "little")


ANOTHER_PROGRAM = "/usr/bin/cat"


def test_what_is_excluded_is_captured_when_it_goes_on_as_a_program_that_is_not(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], kernel_session: KernelSession
) -> None:
    met = meet(proc(mapper.pid), Selectors.parse("", "python*"))
    met.watcher.start([])
    assert excluded_by_kernel(kernel_session) == [mapper.pid]
    before = counting_since(kernel_session)

    mapper.go_on_as(ANOTHER_PROGRAM)
    for kind in (Kind.PROCESS_EXITED, Kind.PROCESS_SEEN):
        met.watcher.notice(mapper.notice(kind))

    assert [allowed for _, allowed in met.processes] == [False, True]
    assert excluded_by_kernel(kernel_session) == []
    assert counting_since(kernel_session) > before


def test_who_was_never_excluded_changes_nothing_for_the_others(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], kernel_session: KernelSession
) -> None:
    met = meet(proc(mapper.pid))
    met.watcher.exclude(mapper.pid)  # as one that goes out to ask for the agent
    before = counting_since(kernel_session)
    met.watcher.start([])

    assert [allowed for _, allowed in met.processes] == [True]
    assert excluded_by_kernel(kernel_session) == [mapper.pid]
    assert counting_since(kernel_session) == before


def test_a_process_that_was_only_looked_at_is_met_anew_when_it_runs_another_program(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], kernel_session: KernelSession
) -> None:
    met = meet(proc(mapper.pid), Selectors.parse("", "python*"))
    met.watcher.start([])
    mapper.go_on_as(ANOTHER_PROGRAM)
    met.watcher.notice(mapper.notice(Kind.PROCESS_SEEN))

    assert [facts.executable for facts, _ in met.processes][1:] == [ANOTHER_PROGRAM]
    assert excluded_by_kernel(kernel_session) == []


def test_a_process_that_holds_much_has_its_share_set_right(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], kernel_session: KernelSession
) -> None:
    holdings, key = kernel_session.maps["holdings"], struct.pack("<I", mapper.pid)
    map_update(holdings, key, struct.pack("<qqQ", 7000, 0, 0))
    meet(proc(mapper.pid)).watcher.notice(mapper.notice(Kind.PROCESS_CROWDED))

    assert map_lookup(holdings, key, 24) == bytes(24), "it has no connections at all"


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


def test_what_runs_another_program_while_it_is_kept_back_is_told_as_both(
    meet: Callable[..., Met], mapper: Mapper, proc: Callable[..., str], kernel_session: KernelSession
) -> None:
    runtime = Runtime()
    met = meet(proc(mapper.pid), Selectors.parse("", "python*"), containers=runtime)
    met.watcher.start([])
    mapper.go_on_as(ANOTHER_PROGRAM)
    for kind in (Kind.PROCESS_EXITED, Kind.PROCESS_SEEN):
        met.watcher.notice(mapper.notice(kind))
    runtime.name = "web"
    met.watcher.complete(["c"])

    told = [(facts.executable, allowed) for facts, allowed in met.processes]
    assert told[0][1:] == (False,)
    assert told[1:] == [(ANOTHER_PROGRAM, True)]
    assert excluded_by_kernel(kernel_session) == []
    assert [facts.executable for facts, _ in met.watcher.processes] == [ANOTHER_PROGRAM]


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


def test_what_coverage_asks_of_a_process(
    meet: Callable[..., Met], mapper: Mapper, library: Path, proc: Callable[..., str]
) -> None:
    met = meet(proc(mapper.pid), Selectors.parse("", f"pid={mapper.pid}"))
    watcher = met.watcher
    assert watcher.selected(mapper.pid) is True, "nothing is known of it yet"
    watcher.start([])
    assert watcher.selected(mapper.pid) is False
    watcher.choose(Selectors.parse("nothing-of-this-name", ""))
    assert watcher.selected(mapper.pid) is None
    verdicts = watcher.verdicts(mapper.pid)
    assert verdicts is not None
    assert [(verdict.path, verdict.libraries) for verdict in verdicts] == [(str(library), ("openssl",))]
    notice = mapper.notice(Kind.PROCESS_SPEAKS_TLS)
    assert watcher.is_running(mapper.pid, notice.start_time_ns)
    assert not watcher.is_running(mapper.pid, notice.start_time_ns + 10**9)
    assert not watcher.is_ours(mapper.pid)
    watcher.never(mapper.pid)
    assert watcher.is_ours(mapper.pid)
    mapper.end()
    assert watcher.verdicts(mapper.pid) is None
