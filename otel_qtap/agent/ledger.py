# SPDX-License-Identifier: Apache-2.0
"""What the pipeline owes, in memory that outlives it: a successor counts what died with it."""

import mmap
import struct
from dataclasses import dataclass

_FIELDS = struct.Struct("<4Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Counts of one pipeline process. ``exchanges`` were finished, of which ``settled`` left the process
    (delivered, or dropped and counted); ``open_connections`` were being read.
    """

    exchanges: int = 0
    settled: int = 0
    open_connections: int = 0

    @property
    def owed(self) -> int:
        """Exchanges that would die with the process now."""
        return max(self.exchanges - self.settled, 0)


class Ledger:
    """One page shared by the supervisor and all pipelines that it ever starts."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def write(self, balance: Balance) -> None:
        """The running pipeline's state."""
        fields = (1, balance.exchanges, balance.settled, balance.open_connections)
        _FIELDS.pack_into(self._page, 0, *fields)

    def take(self) -> Balance | None:
        """What the predecessor left, once; None when there was none or it left in order."""
        written, exchanges, settled, connections = _FIELDS.unpack_from(self._page)
        _FIELDS.pack_into(self._page, 0, 0, 0, 0, 0)
        if not written:
            return None
        return Balance(exchanges=exchanges, settled=settled, open_connections=connections)

    def clear(self) -> None:
        """The pipeline leaves in order: nothing is owed."""
        _FIELDS.pack_into(self._page, 0, 0, 0, 0, 0)
