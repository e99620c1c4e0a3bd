# SPDX-License-Identifier: Apache-2.0
"""Remembers what is known of containers, and has the others asked about. Never waits for anything."""

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from otel_qtap.conditions import Condition
from otel_qtap.discovery.containers.answer import Answer, Query, answer_of
from otel_qtap.discovery.containers.enquiry import LONGEST_SECONDS, Ways, start_enquiry

logger = logging.getLogger(__name__)

_MAX_CONTAINERS = 4096
_MAX_BATCH = 256
_MAX_MESSAGE = 128 << 10
_AGAIN_SECONDS = 1.0
"""A process may be seen before its runtime tells of its container: that is asked for once more."""
_UNREACHED_SECONDS = 30.0
_MAX_UNREACHED = 20


@dataclass(slots=True)
class _Entry:
    query: Query
    answer: Answer | None = None
    is_asked: bool = False
    due: float | None = 0.0
    """When to ask (again), on the monotonic clock; None means never."""
    unknown: int = 0
    unreached: int = 0


class Directory:
    """The containers of this machine, as far as somebody tells of them.

    ``excluded`` is called with the PID of each process that goes out to ask, before it does.
    """

    def __init__(self, ways: Ways, excluded: Callable[[int], None] = lambda _pid: None) -> None:
        self._ways = ways
        self._excluded = excluded
        self._entries: dict[str, _Entry] = {}
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self._pid = 0
        self._kill_at = 0.0
        self._asked: dict[str, _Entry] = {}
        self._found: list[str] = []
        self._sources: dict[str, Condition] = {}
        self._asking = Condition(logger, "otel_qtap.containers")

    def fileno(self) -> int:
        """Readable when ``collect`` has something."""
        return self._ours.fileno()

    @property
    def is_asking(self) -> bool:
        """Whether answers are being waited for; then ``tick`` should come often."""
        return bool(self._pid)

    def known(self, container_id: str) -> Answer | None:
        """What is known of a container."""
        entry = self._entries.get(container_id)
        return entry.answer if entry else None

    def ask(self, query: Query) -> bool:
        """Ask for a container, unless that was in vain before; whether an answer may come soon."""
        entry = self._entries.get(query.container_id)
        if entry is None:
            if not self._ways.lead_anywhere:
                return False
            if len(self._entries) >= _MAX_CONTAINERS:
                self._entries.pop(next(iter(self._entries)))
            entry = self._entries[query.container_id] = _Entry(query)
            self.tick()
        return entry.is_asked or (entry.due == 0.0 and entry.answer is None)

    def tick(self) -> None:
        """Time went by: end what takes too long, ask what is due."""
        now = time.monotonic()
        if self._pid:
            if now >= self._kill_at:
                os.kill(self._pid, signal.SIGKILL)
            if not self._has_ended():
                return
        due = [e for e in self._entries.values() if e.due is not None and e.due <= now][:_MAX_BATCH]
        if due and self._ways.lead_anywhere:
            self._start(due, now)

    def collect(self) -> list[str]:
        """Ids of the containers of which something became known since this was last asked."""
        self._receive()
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        """End whoever is still asking."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _start(self, due: list[_Entry], now: float) -> None:
        try:
            queries = [entry.query for entry in due]
            self._pid = start_enquiry(self._ways, queries, self._theirs, self._excluded)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._asking.fail(reason, "containers cannot be asked about now: %s", reason)
            for entry in due:
                entry.due = now + _UNREACHED_SECONDS
            return
        self._asking.recover("containers can be asked about again")
        self._kill_at = now + LONGEST_SECONDS + 1
        self._asked = {entry.query.container_id: entry for entry in due}
        for entry in due:
            entry.is_asked, entry.due = True, None

    def _has_ended(self) -> bool:
        pid, _ = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return False
        self._pid = 0
        self._receive()
        for entry in self._asked.values():  # it ended before it came to these
            self._settle(entry, unreached=True)
        self._asked = {}
        return True

    def _receive(self) -> None:
        while True:
            try:
                message = json.loads(self._ours.recv(_MAX_MESSAGE))
            except BlockingIOError:
                return
            if "source" in message:
                self._report(message["source"], message["error"])
            elif entry := self._asked.pop(message["id"], None):
                if "container" in message:
                    entry.answer, entry.is_asked = answer_of(message), False
                    self._found.append(message["id"])
                if "container" not in message or message["unreached"]:
                    self._settle(entry, unreached=message["unreached"])

    def _settle(self, entry: _Entry, *, unreached: bool) -> None:
        """No answer: ask again later, or never."""
        entry.is_asked = False
        if unreached:
            entry.unreached += 1
            again = _UNREACHED_SECONDS if entry.unreached < _MAX_UNREACHED else None
        else:
            entry.unknown += 1
            again = _AGAIN_SECONDS if entry.unknown == 1 else None
        entry.due = None if again is None else time.monotonic() + again

    def _report(self, source: str, trouble: str) -> None:
        """Say once per change of state."""
        told = self._sources.setdefault(source, Condition(logger, "otel_qtap.containers"))
        if trouble:
            told.fail(trouble, "%s tells nothing of containers: %s", source, trouble)
        else:
            told.recover("%s tells of containers again", source)
