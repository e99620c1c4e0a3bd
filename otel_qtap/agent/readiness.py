# SPDX-License-Identifier: Apache-2.0
"""What has to be well for the agent to be ready, and to be alive; each with since when and why not.

ready  probes        on every library file that was in use at the start
       tracepoints   attached: they bind sockets and tell of new processes
       ring          handed over, and read within the last seconds
       exporters     all threads run
       collector.*   took the last request of that signal; before the first there is nothing to say against it
       store         took the last segment, likewise
alive  chain         its thread goes round
       supervisor    its loop goes round
"""

import time
from collections.abc import Mapping

from otel_qtap.agent.assembly import Rooms
from otel_qtap.agent.health import Conditions
from otel_qtap.agent.vital_signs import VitalSigns
from otel_qtap.conditions import State

RING_SECONDS = 5.0
"""The ring is read twenty times a second, and after 8 MiB of events at the latest."""
CHAIN_SECONDS = 10.0
SUPERVISOR_SECONDS = 60.0
"""The supervisor may have to look at ten thousand processes, or disassemble a large library."""


class Readiness:
    """Puts the conditions together. The supervisor's come by ``hear``; other methods are for any thread."""

    def __init__(self, rooms: Rooms, signs: VitalSigns) -> None:
        self._rooms = rooms
        self._signs = signs
        now = time.time()
        self._told = {name: State(False, now, "being attached") for name in ("probes", "tracepoints")}
        self._has_rings = False
        self._seen: dict[str, State] = {}

    def hear(self, reasons: Mapping[str, str]) -> None:
        """The supervisor says what is wrong with probes and tracepoints; "" if nothing."""
        for name, reason in reasons.items():
            if name in self._told and self._told[name][0::2] != (not reason, reason):
                self._told[name] = State(not reason, time.time(), reason)

    def rings_are_here(self) -> None:
        """The pipeline has something to read from."""
        self._has_rings = True

    def ready(self) -> Conditions:
        """All that has to be well for the agent to be ready."""
        telemetry, archive = self._rooms.telemetry, self._rooms.archive
        found = {**self._told, "ring": self._judge("ring", self._about_ring())}
        stopped = "" if telemetry.is_running else "a thread does not run"
        found["exporters"] = self._judge("exporters", stopped)
        found |= {f"collector.{signal}": state for signal, state in telemetry.deliveries.items()}
        if (delivery := archive.delivery) is not None:
            found["store"] = delivery
        return found

    def alive(self) -> Conditions:
        """All whose failure only a new start of the agent can heal."""
        return {
            "chain": self._judge("chain", _stuck(self._signs.pipeline_age, CHAIN_SECONDS)),
            "supervisor": self._judge("supervisor", _stuck(self._signs.supervisor_age, SUPERVISOR_SECONDS)),
        }

    def _about_ring(self) -> str:
        if not self._has_rings:
            return "not handed over yet"
        return _stuck(self._signs.pipeline_age, RING_SECONDS)

    def _judge(self, name: str, reason: str) -> State:
        """The state by a look taken now; it changed when a look first told so."""
        before = self._seen.get(name)
        if before is None or before.well is bool(reason):
            self._seen[name] = before = State(not reason, time.time(), reason)
        return before._replace(reason=reason)


def _stuck(age: float, limit: float) -> str:
    return f"not gone round for {age:.0f} s" if age > limit else ""
