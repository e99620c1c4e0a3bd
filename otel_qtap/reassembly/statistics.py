# SPDX-License-Identifier: Apache-2.0
"""What reassembly counts, as a snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReassemblyStatistics:
    """Counters since start, and the present state. Sizes are bytes of plaintext."""

    connections: int
    """Connections tracked now."""
    held_bytes: int
    """Bytes held now because something before them is missing."""
    opened: int
    ended: Mapping[str, int]
    """Ended connections by the reason of their ConnectionEnded."""
    delivered_bytes: int
    gaps: Mapping[str, int]
    """Gaps by cause: ``not_copied`` (the kernel side cut the event), ``lost`` (waited for in vain),
    ``tail`` (bytes missing when the connection or direction closed)."""
    gap_bytes: Mapping[str, int]
    """Missing bytes by the same causes."""
    given_up: Mapping[str, int]
    """Why waiting ended with a hole: ``reorder_timeout``, ``connection_bytes``, ``total_bytes`` or
    ``ended``."""
    reordered: int
    """Data events that arrived ahead of their turn."""
    duplicate_bytes: int
    """Bytes that had been delivered before, cut."""
    late_events: int
    """Data events of a connection or direction that had already ended, dropped."""
    late_bytes: int
    unseen_start_bytes: int
    """Stream bytes before the first captured byte of each direction (attached mid-stream, or lost)."""
