# SPDX-License-Identifier: Apache-2.0
"""Which processes make spans of their own: the user's word, else how they started, else what they do."""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from otel_qtap.discovery.instrumentation import InstrumentationReader
from otel_qtap.discovery.otlp_connections import OtlpConnections
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.model.identity import BY_OPERATOR, NOT_INSTRUMENTED, ProcessFacts, ProcessId
from otel_qtap.settings import Settings

logger = logging.getLogger(__name__)

CONNECTION = "otlp_connection"
"""``ProcessFacts.instrumentation`` of a process that was seen connected to a collector."""
LOOK_SECONDS = 2.0
LONGEST_LOOK_SECONDS = 30.0
"""Between two looks at the connections of a process: often while it is new, for then it begins to export."""
_NEVER = math.inf
_AGE = 4
_REST = 100
"""Looking takes less than one percent of the time, however many sockets there are to look at."""


def instrumentation_judge(settings: Settings) -> "InstrumentationJudge | None":
    """The judge that the settings ask for; None where the mode is the same for all processes."""
    if settings.trace.mode != "auto":
        return None
    named = (settings.trace.instrumented, settings.trace.uninstrumented)
    instrumented, uninstrumented = (",".join(map(str, chosen)) for chosen in named)
    selectors = Selectors.parse(
        instrumented,
        uninstrumented,
        variables=("OTEL_QTAP_TRACE_INSTRUMENTED", "OTEL_QTAP_TRACE_UNINSTRUMENTED"),
    )
    return InstrumentationJudge(selectors)


class InstrumentationJudge:
    """Fills in ``ProcessFacts.instrumentation``. Used by one thread."""

    def __init__(
        self, selectors: Selectors, *, proc: str = "/proc", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._selectors = selectors
        self._reader = InstrumentationReader(proc)
        self._connections = OtlpConnections(proc)
        self._clock = clock
        self._undecided: dict[ProcessId, _Undecided] = {}
        self._next_due = _NEVER

    def judge(self, facts: ProcessFacts) -> ProcessFacts:
        """The facts of a process that was just met, with what its start says."""
        named = self._selectors.named(facts)
        if named is not None:
            return replace(facts, instrumentation=BY_OPERATOR if named else NOT_INSTRUMENTED)
        start = self._reader.read(facts)
        if not start.evidence:
            now = self._clock()
            due = now + LOOK_SECONDS
            self._undecided[facts.process] = _Undecided(start.ports, met=now, due=due)
            self._next_due = min(self._next_due, due)
            return facts
        logger.debug("process %d: instrumentation %s", facts.process.tgid, start.evidence)
        return replace(facts, instrumentation=start.evidence)

    @property
    def is_due(self) -> bool:
        """Whether it is time for a ``review``."""
        return self._clock() >= self._next_due

    def review(self, undecided: Iterable[ProcessFacts]) -> list[ProcessFacts]:
        """Those of the processes that turn out to make spans, of those that it is time to look at."""
        now = self._clock()
        still = {facts.process: facts for facts in undecided if facts.process in self._undecided}
        self._undecided = {process: self._undecided[process] for process in still}
        due = {process.tgid: process for process in still if self._undecided[process].due <= now}
        # How it started, once more: when it was met, it may not have mapped its runtime yet.
        found = {pid: self._reader.read(still[process]).evidence for pid, process in due.items()}
        for pid in self._connections.among({pid: self._undecided[due[pid]].ports for pid in due}):
            found[pid] = found[pid] or CONNECTION
        for process in due.values():
            waits = self._undecided[process]
            waits.due = now + min(max(LOOK_SECONDS, (now - waits.met) / _AGE), LONGEST_LOOK_SECONDS)
        ended = self._clock()
        rested = ended + _REST * (ended - now)
        self._next_due = max(rested, min((waits.due for waits in self._undecided.values()), default=_NEVER))
        decided = {pid: evidence for pid, evidence in found.items() if evidence}
        for pid, evidence in decided.items():
            logger.debug("process %d: instrumentation %s", pid, evidence)
        return [replace(still[due[pid]], instrumentation=evidence) for pid, evidence in decided.items()]


@dataclass(slots=True)
class _Undecided:
    """Where the spans of a process would go, when it was met, and when to look at it next."""

    ports: frozenset[int]
    met: float
    due: float
