# SPDX-License-Identifier: Apache-2.0
"""Facts of processes that map new files, read before these are looked at: by then they may be gone.

A client may be over in twenty milliseconds, and the first one of an image maps dozens of files that nobody
knows.
"""

from collections import OrderedDict

from otel_qtap.capture.records import ProcessNotice
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.model.identity import ProcessFacts, ProcessId

_MOST = 256


class Glimpses:
    """The last facts of the latest of these processes."""

    def __init__(self, reader: ProcessReader) -> None:
        self._reader = reader
        self._facts: OrderedDict[ProcessId, ProcessFacts] = OrderedDict()

    def take(self, notice: ProcessNotice) -> None:
        """See what a process is while it maps a file, unless it is known to run this program."""
        process = ProcessId(notice.tgid, notice.start_time_ns)
        known = self._facts.get(process)
        if known is not None and known.executable == self._reader.executable(notice.tgid):
            return
        facts = self._reader.facts(*process)
        if facts is None or not facts.executable:
            return
        self._facts[process] = facts
        while len(self._facts) > _MOST:
            self._facts.popitem(last=False)

    def facts(self, notice: ProcessNotice) -> ProcessFacts | None:
        """What is known of the process that a notice is of: of a zombie, what it was when it ran."""
        process = ProcessId(notice.tgid, notice.start_time_ns)
        glimpse = self._facts.get(process)
        facts = self._reader.facts(*process)
        if facts is not None and facts.executable:
            return facts
        # One that is over may have run another program since.
        return glimpse if glimpse is not None and glimpse.command == notice.command else facts
