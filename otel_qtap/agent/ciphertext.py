# SPDX-License-Identifier: Apache-2.0
"""Has the ciphertext of processes looked at while they have connections whose sockets are not known.

So the connections are bound that were made before the agent came. The probe for it costs every record
that the process sends, so it is there in that process alone, and only as long as it is of use.
"""

import logging
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from otel_qtap.agent.probed_files import sites_of
from otel_qtap.capture.attach import Probes, detach_together
from otel_qtap.capture.records import ProcessNotice
from otel_qtap.capture.session import KernelSession
from otel_qtap.capture.syscalls import map_delete, map_update
from otel_qtap.discovery.plan import LibraryPlan
from otel_qtap.errors import CaptureError

logger = logging.getLogger(__name__)

QUIET_SECONDS = 3.0
"""After so long without a word of an unbound connection the probe goes; the kernel tells once a second."""
LONGEST_SECONDS = 30.0
REST_SECONDS = 600.0
"""Some connections never are bound: the process is left alone for so long, then looked at again."""
MOST_PROCESSES = 32
MOST_AT_ONCE = 2
"""Analyses; each may take seconds, of which nobody else gets anything."""
_MOST_REMEMBERED = 4096


class Search(Protocol):
    """discovery.ciphertext_files.CiphertextSearch, as it is seen from here."""

    plans: list[LibraryPlan]

    @property
    def is_done(self) -> bool:
        """Whether all files were searched."""

    @property
    def is_running(self) -> bool:
        """Whether an analysis is waited for."""

    def advance(self, *, may_begin: bool) -> None:
        """Go on, without waiting for anything."""

    def abandon(self) -> None:
        """Nobody wants to know any more."""


@dataclass(slots=True)
class _Watched:
    """A process that is looked at."""

    probes: list[Probes]
    since: float
    told: float
    """When the kernel side last told of it."""


class CiphertextWatch:
    """Puts probes into ``BIO_write`` of the processes that it is told of, and takes them away again.

    ``search`` begins to look for the files of a process that define it.
    """

    def __init__(
        self,
        session: KernelSession,
        search: Callable[[int], Search],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._search = search
        self._clock = clock
        self._searches: dict[int, Search] = {}
        """Of processes that are about to be looked at. Those that began with a file last come last."""
        self._watched: dict[int, _Watched] = {}
        self._resting: dict[int, float] = {}

    @property
    def processes(self) -> frozenset[int]:
        """Those that are looked at now."""
        return frozenset(self._watched)

    def notice(self, notice: ProcessNotice) -> None:
        """The kernel side saw plaintext of this process whose socket is not known."""
        pid, now = notice.tgid, self._clock()
        if known := self._watched.get(pid):
            known.told = now
        elif pid in self._searches or now < self._resting.get(pid, 0.0):
            return
        elif len(self._watched) + len(self._searches) < MOST_PROCESSES:
            self._searches[pid] = self._search(pid)
            self.advance()

    @property
    def is_busy(self) -> bool:
        """Whether ``advance`` has work, now or in a moment."""
        return bool(self._searches)

    def advance(self) -> None:
        """Put probes where they are known to belong by now, without waiting for anything."""
        running = [search for search in self._searches.values() if search.is_running]
        for search in running:
            search.advance(may_begin=False)
        count = sum(search.is_running for search in running)
        for pid, search in list(self._searches.items()):
            if not search.is_running and count < MOST_AT_ONCE:
                search.advance(may_begin=True)
                if search.is_running:
                    count += 1
                    self._searches[pid] = self._searches.pop(pid)
            if search.is_done:
                del self._searches[pid]
                self._watch(pid, search.plans, self._clock())

    def _watch(self, pid: int, plans: Iterable[LibraryPlan], now: float) -> None:
        probes: list[Probes] = []
        for plan in plans:
            with suppress(CaptureError):  # it may have ended: and if not, its connections stay as they are
                probes.append(Probes(self._session, plan.path, sites_of(plan), plan.identity.state, pid=pid))
        if not probes:
            logger.debug("process %d has connections without addresses, and no BIO_write to tell them", pid)
            self._rest(pid, now)
            return
        logger.debug("looking at the ciphertext of process %d", pid)
        self._watched[pid] = _Watched(probes, now, now)
        with suppress(OSError):  # without the mark nothing is bound, and the probe soon goes
            map_update(self._session.maps["watched_processes"], struct.pack("<I", pid), struct.pack("<I", 1))
        self._tell_number()

    def review(self) -> None:
        """Take the probes of those away that need them no longer, or have had them long enough."""
        now = self._clock()
        ended = []
        for pid, watched in list(self._watched.items()):
            is_over_long = now - watched.since >= LONGEST_SECONDS
            if is_over_long or now - watched.told >= QUIET_SECONDS:
                ended.append(watched)
                self._forget(pid)
                if is_over_long:
                    self._rest(pid, now)
        self._end(ended)

    def detach(self) -> None:
        """Take all away."""
        for search in self._searches.values():
            search.abandon()
        self._searches.clear()
        ended = list(self._watched.values())
        for pid in list(self._watched):
            self._forget(pid)
        self._end(ended)

    def _end(self, ended: list[_Watched]) -> None:
        if ended:
            self._tell_number()
            detach_together(probes for watched in ended for probes in watched.probes)

    def _forget(self, pid: int) -> None:
        del self._watched[pid]
        with suppress(OSError):
            map_delete(self._session.maps["watched_processes"], struct.pack("<I", pid))

    def _rest(self, pid: int, now: float) -> None:
        if len(self._resting) >= _MOST_REMEMBERED:
            self._resting = {one: until for one, until in self._resting.items() if until > now}
        if len(self._resting) < _MOST_REMEMBERED:
            self._resting[pid] = now + REST_SECONDS

    def _tell_number(self) -> None:
        with suppress(OSError):
            map_update(
                self._session.maps["watched"], struct.pack("<I", 0), struct.pack("<I", len(self._watched))
            )
