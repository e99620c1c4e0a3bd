# SPDX-License-Identifier: Apache-2.0
"""Which processes make spans of their own: the user's word, else how they started, else what they do."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from otel_qtap.discovery.instrumentation import InstrumentationReader
from otel_qtap.discovery.otlp_connections import OtlpConnections
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.model.identity import BY_OPERATOR, NOT_INSTRUMENTED, ProcessFacts, ProcessId
from otel_qtap.settings import Settings

logger = logging.getLogger(__name__)

CONNECTION = "otlp_connection"
"""``ProcessFacts.instrumentation`` of a process that was seen connected to a collector."""
LOOK_SECONDS = 2.0
"""Between two looks at connections; more where a look takes long, so that it stays below one percent."""
_REST = 100


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
        self._ports: dict[ProcessId, frozenset[int]] = {}
        self._next_look = 0.0

    def judge(self, facts: ProcessFacts) -> ProcessFacts:
        """The facts of a process that was just met, with what its start says."""
        named = self._selectors.named(facts)
        if named is not None:
            return replace(facts, instrumentation=BY_OPERATOR if named else NOT_INSTRUMENTED)
        start = self._reader.read(facts)
        if not start.evidence:
            self._ports[facts.process] = start.ports
            return facts
        logger.debug("process %d: instrumentation %s", facts.process.tgid, start.evidence)
        return replace(facts, instrumentation=start.evidence)

    def exporting(self, undecided: Iterable[ProcessFacts]) -> Iterator[ProcessFacts]:
        """Those of the processes that are connected to a collector; none before it is time to look again."""
        began = self._clock()
        if began < self._next_look:
            return
        processes = {facts.process.tgid: facts for facts in undecided if facts.process in self._ports}
        self._ports = {facts.process: self._ports[facts.process] for facts in processes.values()}
        found = self._connections.among({pid: self._ports[facts.process] for pid, facts in processes.items()})
        ended = self._clock()
        self._next_look = ended + max(LOOK_SECONDS, _REST * (ended - began))
        for pid in sorted(found):
            logger.debug("process %d: instrumentation %s", pid, CONNECTION)
            yield replace(processes[pid], instrumentation=CONNECTION)
