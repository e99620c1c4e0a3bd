# SPDX-License-Identifier: Apache-2.0
"""What supervisor and pipeline show each other: that their loops go round, and what the supervisor counts.

One page of memory that both have, and one about probed files. The pipeline parses what strangers wrote, so
the supervisor believes nothing that stands there but when the pipeline's loop last went round.
"""

import mmap
import struct
import time
from collections.abc import Mapping

from otel_qtap.agent.plaintext.page import PlaintextPage

RELOADS = ("applied", "unchanged", "needs_restart", "refused", "rolled_back")
"""What can become of a reload."""

_WORD = struct.Struct("<Q")
_SUPERVISOR, _PIPELINE, _RESTARTS, _FIRST_RELOAD = 0, 8, 16, 24


class VitalSigns:
    """Times are CLOCK_MONOTONIC, which all processes share."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self.plaintext = PlaintextPage()
        """Whether what comes out of probed files is plaintext."""
        self._restarts = 0
        self._reloads = dict.fromkeys(RELOADS, 0)
        self.supervisor_goes_round()

    def supervisor_goes_round(self) -> None:
        """The supervisor's loop begins anew."""
        self._set(_SUPERVISOR, time.monotonic_ns())

    def pipeline_goes_round(self) -> None:
        """The pipeline's loop begins anew: it looked at its ring. Costs a microsecond."""
        _WORD.pack_into(self._page, _PIPELINE, time.monotonic_ns())

    @property
    def supervisor_age(self) -> float:
        """Seconds since the supervisor's loop last went round."""
        return self._age(_SUPERVISOR)

    @property
    def pipeline_age(self) -> float:
        """Seconds since the pipeline's loop last went round."""
        return self._age(_PIPELINE)

    def count_restart(self) -> None:
        """A pipeline ended that nobody told to."""
        self._restarts += 1
        self._set(_RESTARTS, self._restarts)

    def count_reload(self, outcome: str) -> None:
        """A reload ended in one of RELOADS."""
        self._reloads[outcome] += 1
        self._set(_FIRST_RELOAD + RELOADS.index(outcome) * _WORD.size, self._reloads[outcome])

    @property
    def restarts(self) -> int:
        """Pipelines that ended and were started again, since the agent's start."""
        return self._get(_RESTARTS)

    @property
    def reloads(self) -> Mapping[str, int]:
        """Reloads by what became of them, since the agent's start."""
        return {
            outcome: self._get(_FIRST_RELOAD + position * _WORD.size)
            for position, outcome in enumerate(RELOADS)
        }

    def _age(self, at: int) -> float:
        return max(0, time.monotonic_ns() - self._get(at)) / 1e9

    def _get(self, at: int) -> int:
        value: int = _WORD.unpack_from(self._page, at)[0]
        return value

    def _set(self, at: int, value: int) -> None:
        _WORD.pack_into(self._page, at, value)
