# SPDX-License-Identifier: Apache-2.0
"""Looks at how conversations of the files begin that the supervisor asks about, and answers when it is sure.

A file is cleared by one conversation each way that is plain. It is given up when many are clearly random and
none is plain: only those count that began when the file was probed already, for in the middle of one may be
anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from otel_qtap.agent.plaintext.look import Look, look_at
from otel_qtap.agent.plaintext.page import Mark, PlaintextPage
from otel_qtap.model.events import ConnectionObserved, DataCaptured, KernelEvent
from otel_qtap.model.identity import ConnectionId, Direction

RANDOM_CONVERSATIONS = 8
"""So many are random, and none is plain either way."""
RANDOM_ONE_WAY = 64
"""The same where the other way is plain."""
MAX_CONNECTIONS = 4096
_SURELY_NEW_NS = 30_000_000_000


@dataclass(slots=True)
class _File:
    first_seen_ns: int
    plain: set[Direction] = field(default_factory=set)
    random: dict[Direction, int] = field(default_factory=lambda: dict.fromkeys(Direction, 0))


class PlaintextWatch:
    """Costs nothing while nothing is asked: see ``PlaintextPage.has_questions``."""

    def __init__(self, page: PlaintextPage) -> None:
        self._page = page
        self._files: dict[int, _File] = {}
        self._open: dict[ConnectionId, ConnectionObserved] = {}

    def look(self, events: Iterable[KernelEvent]) -> None:
        """See what comes of files that are asked about."""
        connections = self._open
        for event in events:
            if type(event) is DataCaptured:
                if event.position == 0 and event.connection in connections:
                    self._begin(event, connections[event.connection])
            elif type(event) is ConnectionObserved:
                self._observe(event)

    def _observe(self, event: ConnectionObserved) -> None:
        if self._page.mark(event.file) != Mark.ASKED:
            self._files.pop(event.file, None)
            self._open.pop(event.connection, None)
            return
        self._files.setdefault(event.file, _File(event.connection.generation))
        if len(self._open) >= MAX_CONNECTIONS:
            del self._open[next(iter(self._open))]
        self._open[event.connection] = event

    def _begin(self, event: DataCaptured, of: ConnectionObserved) -> None:
        file = self._files.get(of.file)
        if file is None or self._page.mark(of.file) != Mark.ASKED:
            return
        match look_at(event.data, of.client_random):
            case Look.PLAIN:
                file.plain.add(event.direction)
                if len(file.plain) == len(Direction):
                    self._page.answer(of.file, Mark.PLAIN)
            case Look.OWN_HELLO:
                self._count(of.file, file, event.direction)
            case Look.RANDOM if _began_here(of, file):
                self._count(of.file, file, event.direction)

    def _count(self, number: int, file: _File, direction: Direction) -> None:
        file.random[direction] += 1
        if direction in file.plain:
            return
        enough = RANDOM_ONE_WAY if file.plain else RANDOM_CONVERSATIONS
        if file.random[direction] >= enough:
            self._page.answer(number, Mark.CIPHERTEXT)


def _began_here(observed: ConnectionObserved, file: _File) -> bool:
    """Whether the conversation began when its file was probed already."""
    if observed.handshake_seen or observed.from_handshake:
        return True
    return observed.connection.generation > file.first_seen_ns + _SURELY_NEW_NS
