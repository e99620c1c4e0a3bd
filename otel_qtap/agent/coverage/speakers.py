# SPDX-License-Identifier: Apache-2.0
"""Processes that the kernel side saw speak TLS: judged some time after their first hello, and again."""

import logging
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from otel_qtap.agent.coverage.judging import (
    CAPTURED,
    ENDED,
    MISSED_CONNECTIONS,
    RELAY,
    UNREADABLE,
    Grounds,
    Judgement,
    Reason,
    State,
    grounds,
    is_relay,
    judge,
    judge_unseen,
)
from otel_qtap.agent.coverage.lasting import missed_now
from otel_qtap.agent.workloads import ProcessKey, process_key
from otel_qtap.capture.records import SPEAKER, ProcessNotice, Speaker
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_items, map_lookup
from otel_qtap.discovery.plan import FileVerdict

logger = logging.getLogger(__name__)

JUDGE_AFTER_SECONDS = 1.5
"""From a process's first hello on: by then its library is probed and its first calls were seen."""
LOOK_SECONDS = 1.0
MAX_PROCESSES = 8192
_MAX_SAID = 1024
_TGID = struct.Struct("<I")
_EVENT = "otel_qtap.coverage"
_OPEN_REASONS = (Reason.NO_LIBRARY, Reason.NO_CALL)
"""Those that another file may disprove."""


class Processes(Protocol):
    """agent.watcher.Watcher, as it is seen from here."""

    def is_running(self, pid: int, start_time_ns: int) -> bool:
        """Whether this process has not ended."""

    def is_ours(self, pid: int) -> bool:
        """Whether it is one of the agent's own."""

    def selected(self, pid: int) -> bool | None:
        """Whether the user's selectors allow a process; None: they do not name it, and name others."""

    def verdicts(self, pid: int) -> tuple[FileVerdict, ...] | None:
        """On the files that it maps and that have or may have to do with TLS; None: they cannot be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A process that speaks TLS, as it was judged."""

    pid: int
    start_time_ns: int
    command: str
    user_id: int
    judgement: Judgement
    has_ended: bool = False


@dataclass(slots=True)
class _Process:
    notice: ProcessNotice
    due: float
    seen: Judgement | None = None
    """As it would be judged by its files alone, for processes that end before they are judged; None: they
    were not known."""
    told: Judgement | None = None
    grounds: Grounds | None = None
    """Of what was told of this program."""
    missed: int = 0
    """Conversations since its first call, at the last review: with those that go on."""
    reasons: set[Reason] = field(default_factory=set)
    """Of which an event was made."""


class Speakers:
    """Judges processes; ``on_judged`` is told what is new, and whether to make an event of it."""

    def __init__(
        self, session: KernelSession, processes: Processes, on_judged: Callable[[Judged, bool], None]
    ) -> None:
        self._map = session.maps["speaking_processes"]
        self._hellos = session.maps["hellos"]
        self._unbound = session.maps["unbound_processes"]
        self._processes = processes
        self._on_judged = on_judged
        self._known: dict[ProcessKey, _Process] = {}
        self._next_look = 0.0
        self._said: dict[tuple[str, Judgement], None] = {}

    def notice(self, notice: ProcessNotice) -> None:
        """The kernel side saw a process's first hello."""
        if self._processes.is_ours(notice.tgid):
            return
        key = process_key(notice.tgid, notice.start_time_ns)
        if len(self._known) >= MAX_PROCESSES:
            self._forget(next(iter(self._known)))
        before = self._known.get(key)  # it runs another program now
        known = self._known[key] = _Process(notice, time.monotonic() + JUDGE_AFTER_SECONDS)
        if before:
            known.told, known.reasons = before.told, before.reasons
        if not self._has_called(notice):  # as nearly all have, whose files need no look
            known.seen = self._judge(known, _first_hello(notice), is_first=True)

    def tick(self, now: float) -> None:
        """Judge those whose time has come, once a second."""
        if now >= self._next_look and self._known:
            self._next_look = now + LOOK_SECONDS
            self._look(now)

    def settle(self) -> None:
        """Judge those that have ended: what the kernel side knows of them is about to be removed."""
        self._look(time.monotonic())

    def review(self) -> None:
        """Judge all again: files were probed or given up, or other processes are selected."""
        self._look(time.monotonic(), again=True)

    @property
    def judged(self) -> Iterator[Judged]:
        """All that were judged, as they were told."""
        for known in self._known.values():
            if known.told is not None:
                yield _judged(known.notice, known.told)

    def _look(self, now: float, *, again: bool = False) -> None:
        speakers = dict(self._speaking())
        if again:
            self._count_lasting(speakers)
        for key, known in list(self._known.items()):
            notice = known.notice
            # There may be thousands of captured ones: those are looked for now and then only.
            may_have_ended = again or known.told is None or known.told.state is not State.CAPTURED
            if may_have_ended and not self._processes.is_running(notice.tgid, notice.start_time_ns):
                self._end(known, speakers.get(notice.tgid))
                self._forget(key)
            elif now >= known.due:
                speaker = speakers.get(notice.tgid)
                if speaker is None or not _is_of(speaker, notice):
                    # It runs another program, of which no hello was seen.
                    self._forget(key)
                else:
                    self._judge_again(known, speaker, whatever=again)

    def _speaking(self) -> Iterator[tuple[int, Speaker]]:
        for key, value in map_items(self._map):
            (process,) = _TGID.unpack(key)
            yield process, Speaker(*SPEAKER.unpack(value))

    def _count_lasting(self, speakers: Mapping[int, Speaker]) -> None:
        missed = missed_now(
            map_items(self._hellos),
            speakers,
            time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            unbound=map_items(self._unbound),
        )
        for known in self._known.values():
            process = known.notice.tgid
            speaker = speakers.get(process)
            known.missed = speaker.missed + missed[process] if speaker and speaker.called_ns else 0

    def _judge_again(self, known: _Process, speaker: Speaker, *, whatever: bool) -> None:
        """Judge a process if what was counted may make another judgement of it, or ``whatever`` was."""
        speaker = speaker._replace(missed=max(speaker.missed, known.missed))
        now = grounds(speaker, selected=self._processes.selected(known.notice.tgid))
        if now == known.grounds and not whatever:
            return
        judgement = self._judge(known, speaker, is_first=known.grounds is None and not whatever)
        if judgement is not None:  # else at the next look
            known.grounds = now
            self._tell(known, judgement)

    def _has_called(self, notice: ProcessNotice) -> bool:
        """Whether a call of a probed library was seen: as a rule, the hello was sent inside of one."""
        if not self._processes.selected(notice.tgid):
            return False
        try:
            speaker = Speaker(*SPEAKER.unpack(map_lookup(self._map, _TGID.pack(notice.tgid), SPEAKER.size)))
        except OSError:
            return False
        return bool(speaker.called_ns) and _is_of(speaker, notice)

    def _judge(self, known: _Process, speaker: Speaker, *, is_first: bool) -> Judgement | None:
        """None: what a file is that may make the difference is not known yet."""
        pid = known.notice.tgid
        selected = self._processes.selected(pid)
        if is_first and selected and speaker.called_ns and speaker.missed < MISSED_CONNECTIONS:
            return CAPTURED  # nearly all, without a look at their files, of which none was given up so soon
        whatever_it_maps = judge_unseen(speaker, selected=selected)
        if whatever_it_maps is not None:
            return whatever_it_maps
        verdicts = self._processes.verdicts(pid)
        if verdicts is None:
            running = self._processes.is_running(pid, known.notice.start_time_ns)
            return UNREADABLE if running else ENDED
        judgement = judge(speaker, selected=selected, verdicts=verdicts)
        if judgement.reason in _OPEN_REASONS and any(verdict.is_awaited for verdict in verdicts):
            return None
        return judgement

    def _end(self, known: _Process, speaker: Speaker | None) -> None:
        """A process is gone. If it was not judged yet, this is by what was seen of it meanwhile."""
        if known.told is not None:
            return
        if speaker is not None and _is_of(speaker, known.notice):
            if speaker.called_ns and (known.seen is None or known.seen.reason is not Reason.EXCLUDED):
                self._tell(known, CAPTURED)
                return
            if is_relay(speaker):
                self._tell(known, RELAY)
                return
        self._tell(known, known.seen or ENDED)

    def _tell(self, known: _Process, judgement: Judgement) -> None:
        if judgement == known.told:
            return
        known.told = judgement
        judged = _judged(known.notice, judgement)
        is_news = bool(judgement.reason) and judgement.reason not in known.reasons
        self._on_judged(judged, is_news)
        if is_news:
            known.reasons.add(judgement.reason)
            self._say(judged)

    def _say(self, judged: Judged) -> None:
        """One line in the log for all processes of one name with the same story."""
        said = (judged.command, judged.judgement)
        if said in self._said or len(self._said) >= _MAX_SAID:
            return
        self._said[said] = None
        logger.info(
            "%s (process %d) speaks TLS and %s: %s",
            judged.command,
            judged.pid,
            "is captured in part" if judged.judgement.state is State.PARTIAL else "is not captured",
            judged.judgement.detail,
            extra={"event_name": _EVENT},
        )

    def _forget(self, key: ProcessKey) -> None:
        known = self._known.pop(key)
        if known.told is not None:
            self._on_judged(_judged(known.notice, known.told, has_ended=True), False)


def _first_hello(notice: ProcessNotice) -> Speaker:
    return Speaker(notice.start_time_ns, 0, 0, 0, 0, 0)


def _is_of(speaker: Speaker, notice: ProcessNotice) -> bool:
    return speaker.process_start_ns == notice.start_time_ns


def _judged(notice: ProcessNotice, judgement: Judgement, *, has_ended: bool = False) -> Judged:
    return Judged(
        pid=notice.tgid,
        start_time_ns=notice.start_time_ns,
        command=notice.command,
        user_id=notice.user_id,
        judgement=judgement,
        has_ended=has_ended,
    )
