# SPDX-License-Identifier: Apache-2.0
"""When processes are judged, judged again, and given up; on a real map, with processes as the test says."""

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from otel_qtap.agent.coverage import speakers as module
from otel_qtap.agent.coverage.judging import MISSED_CONNECTIONS, Reason, State
from otel_qtap.agent.coverage.speakers import JUDGE_AFTER_SECONDS, Judged, Speakers
from otel_qtap.capture.records import HELLO, SPEAKER, Kind, ProcessNotice, SocketHello, Speaker
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_update
from otel_qtap.discovery.plan import Cause, FileIdentity, FileVerdict, LeftOut

pytestmark = pytest.mark.bpf

STARTED = 7 * 10**9
PID = 4_000_001
NO_SOCKET = bytes(8)
IDENTITY = FileIdentity(1, 2, 3, 4)
JAVA = FileVerdict(path="/jvm/libjvm.so", identity=IDENTITY, unsupported=("java",))
AWAITED = FileVerdict(path="/opt/app", identity=IDENTITY, is_awaited=True)
GIVEN_UP = FileVerdict(
    path="/opt/app",
    identity=IDENTITY,
    left_out=(LeftOut("boringssl", "what came out was random", Cause.PLAINTEXT),),
)
PROBED = FileVerdict(path="/lib/libssl.so.3", identity=IDENTITY, libraries=("openssl",))


class Host:
    """One process, as it is at the moment, and the kernel's map about it."""

    def __init__(self, session: KernelSession) -> None:
        self.runs = True
        self.ours = False
        self.wanted: bool | None = True
        self.files: tuple[FileVerdict, ...] | None = (JAVA,)
        self.looks = 0
        self.told: list[tuple[Judged, bool]] = []
        self._map = session.maps["speaking_processes"]
        self._hellos = session.maps["hellos"]
        self.speakers = Speakers(session, self, lambda judged, is_news: self.told.append((judged, is_news)))
        self._now = 0.0

    def is_running(self, pid: int, start_time_ns: int) -> bool:
        assert (pid, start_time_ns) == (PID, STARTED)
        return self.runs

    def is_ours(self, pid: int) -> bool:
        return self.ours

    def selected(self, pid: int) -> bool | None:
        return self.wanted

    def verdicts(self, pid: int) -> tuple[FileVerdict, ...] | None:
        self.looks += 1
        return self.files if self.runs else None

    def counted(self, *, called: int = 0, hellos: int = 1, relayed: int = 0, missed: int = 0) -> None:
        speaker = Speaker(STARTED, called, hellos, relayed, 0, missed)
        map_update(self._map, struct.pack("<I", PID), SPEAKER.pack(*speaker))

    @contextmanager
    def missing(self) -> Iterator[None]:
        """Have a conversation go on that is not captured."""
        hello = SocketHello(2, b"r" * 16, PID, 40000, 443, 1, 0, 0, 1, 0, 1)
        map_update(self._hellos, NO_SOCKET, HELLO.pack(*hello))
        yield
        map_delete(self._hellos, NO_SOCKET)

    def forget(self) -> None:
        map_delete(self._map, struct.pack("<I", PID))

    def hello(self) -> None:
        self._now = max(self._now, time.monotonic())
        self.speakers.notice(ProcessNotice(Kind.PROCESS_SPEAKS_TLS, PID, STARTED, 0, 0, 0, 0, "java"))

    def after(self, seconds: float) -> None:
        self._now += seconds
        self.speakers.tick(self._now)

    @property
    def reasons(self) -> list[tuple[State, Reason, bool]]:
        return [(judged.judgement.state, judged.judgement.reason, is_news) for judged, is_news in self.told]


@pytest.fixture
def host(kernel_session: KernelSession) -> Iterator[Host]:
    host = Host(kernel_session)
    host.counted()
    yield host
    host.counted()
    host.forget()


UNSUPPORTED = (State.UNCAPTURED, Reason.UNSUPPORTED, True)
CAPTURED = (State.CAPTURED, Reason.NONE, False)


def test_a_process_is_judged_once_its_calls_had_time_to_be_seen(host: Host) -> None:
    host.hello()
    host.after(JUDGE_AFTER_SECONDS / 2)
    assert host.told == []
    host.after(JUDGE_AFTER_SECONDS)
    host.after(JUDGE_AFTER_SECONDS)
    assert host.reasons == [UNSUPPORTED]
    assert [judged.pid for judged in host.speakers.judged] == [PID]


def test_a_process_with_calls_is_captured(host: Host) -> None:
    host.hello()
    host.counted(called=1)
    host.after(2)
    assert host.reasons == [CAPTURED]


def test_files_of_a_process_with_calls_are_not_looked_at(host: Host) -> None:
    host.counted(called=1)
    host.hello()
    host.after(2)
    assert (host.reasons, host.looks) == ([CAPTURED], 0)


def test_late_calls_take_it_off_the_list(host: Host) -> None:
    host.files = (PROBED,)
    host.hello()
    host.after(2)
    host.counted(called=1)
    host.after(2)
    assert host.reasons == [(State.UNCAPTURED, Reason.NO_CALL, True), CAPTURED]


def test_a_second_library_puts_it_on_the_list(host: Host) -> None:
    host.files = (PROBED, JAVA)
    host.hello()
    host.counted(called=1)
    host.after(2)
    host.counted(called=1, missed=5)
    host.after(2)
    assert host.reasons == [CAPTURED, (State.PARTIAL, Reason.UNSUPPORTED, True)]


@pytest.mark.parametrize(
    ("wanted", "before", "later", "looks"),
    [
        (False, {}, {"hellos": 9}, 0),
        (True, {}, {"hellos": 9}, 2),
        (True, {"called": 1, "missed": 5}, {"called": 1, "missed": 9}, 2),
        (True, {"hellos": 2, "relayed": 2}, {"hellos": 9, "relayed": 9}, 1),
    ],
    ids=["excluded", "uncaptured", "partial", "relay"],
)
def test_files_are_looked_at_again_only_if_the_counts_say_something_new(
    host: Host, wanted: bool, before: dict[str, int], later: dict[str, int], looks: int
) -> None:
    """The first look is at the first hello."""
    host.wanted = wanted
    host.hello()
    host.counted(**before)
    host.after(2)
    host.counted(**later)
    for _ in range(60):
        host.after(1)
    assert (len(host.told), host.looks) == (1, looks)


def test_one_that_is_selected_after_all_is_judged_by_its_files(host: Host) -> None:
    host.wanted = False
    host.hello()
    host.after(2)
    host.wanted = True
    host.after(2)
    assert host.reasons == [(State.UNCAPTURED, Reason.EXCLUDED, True), UNSUPPORTED]


def test_conversations_that_go_on_count_as_well(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JUDGE_AFTER_SECONDS", 0)
    host.files = (PROBED, JAVA)
    host.counted(called=1, missed=MISSED_CONNECTIONS - 1)
    host.hello()
    host.after(1)
    with host.missing():
        host.speakers.review()
        host.after(1)
        assert host.reasons == [CAPTURED, (State.PARTIAL, Reason.UNSUPPORTED, True)]
    host.counted(called=1, missed=MISSED_CONNECTIONS)
    host.speakers.review()
    assert len(host.told) == 2, "it has ended"


def test_one_whose_file_is_given_up_is_captured_no_more(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JUDGE_AFTER_SECONDS", 0)
    host.files = (PROBED,)
    host.counted(called=1)
    host.hello()
    host.after(1)
    host.speakers.review()
    assert host.reasons == [CAPTURED]
    host.files = (GIVEN_UP,)
    host.speakers.review()
    host.counted(called=1, hellos=2)
    host.after(2)
    assert host.reasons == [CAPTURED, (State.UNCAPTURED, Reason.NOT_PLAINTEXT, True)]


def test_another_reason_is_news_and_the_first_is_not_again(host: Host) -> None:
    host.hello()
    host.after(2)
    for wanted in (False, True):
        host.wanted = wanted
        host.speakers.review()
    assert host.reasons == [UNSUPPORTED]  # not yet due by the real clock
    host.wanted = False
    time.sleep(JUDGE_AFTER_SECONDS)
    host.speakers.review()
    host.wanted = True
    host.speakers.review()
    assert host.reasons[1:] == [
        (State.UNCAPTURED, Reason.EXCLUDED, True),
        (State.UNCAPTURED, Reason.UNSUPPORTED, False),
    ]


def test_a_relay_is_no_news(host: Host) -> None:
    host.hello()
    host.counted(hellos=2, relayed=2)
    host.after(2)
    assert host.reasons == [(State.RELAY, Reason.NONE, False)]


@pytest.mark.parametrize(
    ("called", "wanted", "expected"),
    [
        (1, True, CAPTURED),
        (0, True, UNSUPPORTED),
        (1, False, (State.UNCAPTURED, Reason.EXCLUDED, True)),
    ],
)
def test_one_that_ends_early_is_judged_by_what_was_seen(
    host: Host, called: int, wanted: bool, expected: tuple[State, Reason, bool]
) -> None:
    host.wanted = wanted
    host.hello()
    host.counted(called=called)
    host.runs = False
    host.speakers.settle()
    assert host.reasons[0] == expected
    assert host.told[-1][0].has_ended
    assert list(host.speakers.judged) == []


def test_one_that_ended_before_it_could_be_looked_at_is_listed_so(host: Host) -> None:
    host.runs = False
    host.hello()
    host.after(2)
    assert host.reasons[0] == (State.UNCAPTURED, Reason.ENDED, True)


@pytest.mark.parametrize("others", [(), (PROBED,)], ids=["alone", "beside a probed one"])
def test_a_file_that_is_still_looked_at_puts_the_judgement_off(
    host: Host, others: tuple[FileVerdict, ...]
) -> None:
    host.files = (AWAITED, *others)
    host.hello()
    host.after(2)
    assert host.told == []
    host.files = (JAVA, *others)
    host.after(2)
    assert host.reasons == [UNSUPPORTED]


def test_one_that_ends_while_its_file_is_looked_at_has_ended(host: Host) -> None:
    host.files = (AWAITED,)
    host.hello()
    host.runs = False
    host.after(2)
    assert host.reasons[0] == (State.UNCAPTURED, Reason.ENDED, True)


def test_a_file_that_is_still_looked_at_hides_no_reason_that_is_known(host: Host) -> None:
    host.files = (AWAITED, JAVA)
    host.hello()
    host.after(2)
    assert host.reasons == [UNSUPPORTED]


def test_files_that_cannot_be_looked_at_are_a_lack_of_permission(host: Host) -> None:
    host.files = None
    host.hello()
    host.after(2)
    assert host.reasons == [(State.UNCAPTURED, Reason.PERMISSION, True)]


def test_our_own_processes_are_not_judged(host: Host) -> None:
    host.ours = True
    host.hello()
    host.after(2)
    assert host.told == []


def test_another_program_in_the_same_process_begins_anew(host: Host) -> None:
    host.hello()
    host.after(2)
    host.counted()
    host.forget()
    host.hello()
    host.after(2)
    assert [judged.has_ended for judged, _ in host.told] == [False, True]


def test_a_process_more_than_there_is_room_for_pushes_out_the_oldest(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PROCESSES", 1)
    host.hello()
    host.after(2)
    notice = ProcessNotice(Kind.PROCESS_SPEAKS_TLS, PID + 1, STARTED, 0, 0, 0, 0, "java")
    host.speakers.notice(notice)
    assert [(judged.pid, judged.has_ended) for judged, _ in host.told] == [(PID, False), (PID, True)]
