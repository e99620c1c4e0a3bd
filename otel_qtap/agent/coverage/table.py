# SPDX-License-Identifier: Apache-2.0
"""What the supervisor said of processes that speak TLS: as JSON, as counts and as log events."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from otel_qtap.agent.coverage.judging import Reason, State
from otel_qtap.agent.coverage.speakers import MAX_PROCESSES
from otel_qtap.agent.messages import Message
from otel_qtap.agent.workloads import ProcessKey, process_key
from otel_qtap.model.identity import ProcessFacts, ProcessId

MAX_ENDED = 256
"""Processes that were not captured and have ended are remembered up to so many."""
MAX_SHOWN = 1000
_NOT_CAPTURED = (State.UNCAPTURED, State.PARTIAL)

Facts = Callable[[ProcessId, str, int], ProcessFacts]
OnEvent = Callable[[ProcessFacts, str, str, str], None]


@dataclass(frozen=True, slots=True)
class _Entry:
    process: ProcessId
    facts: ProcessFacts
    state: State
    reason: Reason
    library: str
    detail: str
    since: float
    """Unix time, in seconds."""


class CoverageTable:
    """Processes by what was judged of them. Heard by one thread; read by any.

    ``facts`` gives those of a process, ``on_event`` sends a log event: facts, reason, library, detail.
    """

    def __init__(self, *, facts: Facts, on_event: OnEvent) -> None:
        self._facts = facts
        self._on_event = on_event
        self._lock = threading.Lock()
        self._entries: dict[ProcessKey, _Entry] = {}
        self._ended: deque[_Entry] = deque(maxlen=MAX_ENDED)

    def hear(self, message: Message) -> None:
        """Take over what a ``coverage`` message says."""
        process = ProcessId(*message["process"])
        facts = self._facts(process, message["command"], message["user_id"])
        entry = _Entry(
            process,
            facts,
            State(message["state"]),
            Reason(message["reason"]),
            message["library"],
            message["detail"],
            time.time(),
        )
        key = process_key(*process)
        with self._lock:
            before = self._entries.pop(key, None)
            if not message["has_ended"]:
                if len(self._entries) >= MAX_PROCESSES:
                    self._entries.pop(next(iter(self._entries)))
                self._entries[key] = entry
            elif entry.state in _NOT_CAPTURED:
                self._ended.append(before or entry)
        if message["is_news"]:
            self._on_event(facts, entry.reason, entry.library, entry.detail)

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Running processes by state and reason."""
        with self._lock:
            return Counter((entry.state.value, entry.reason.value) for entry in self._entries.values())

    def as_json(self) -> dict[str, Any]:
        """``processes`` by state, and each that is ``not_captured``, those that have ended included."""
        with self._lock:
            running = list(self._entries.values())
            ended = list(self._ended)
        states = Counter(entry.state.value for entry in running)
        listed = [_described(entry, has_ended=False) for entry in running if entry.state in _NOT_CAPTURED]
        listed += [_described(entry, has_ended=True) for entry in reversed(ended)]
        return {
            "processes": {state.value: states[state.value] for state in State},
            "not_captured": listed[:MAX_SHOWN],
            "not_shown": max(0, len(listed) - MAX_SHOWN),
        }


def _described(entry: _Entry, *, has_ended: bool) -> dict[str, Any]:
    facts = entry.facts
    since = datetime.fromtimestamp(entry.since, UTC).isoformat(timespec="seconds")
    return {
        "pid": entry.process.tgid,
        "has_ended": has_ended,
        "executable": facts.executable,
        "command": facts.command,
        "service_name": facts.service_name,
        "container_id": facts.container_id,
        "state": entry.state.value,
        "reason": entry.reason.value,
        "library": entry.library,
        "detail": entry.detail,
        "since": f"{since[:-6]}Z",
    }
