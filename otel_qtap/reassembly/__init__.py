# SPDX-License-Identifier: Apache-2.0
"""Byte order, gaps, memory bounds: KernelEvent in, StreamEvent out.

tracker        ConnectionTracker: which connections there are, when they end, what they may hold
stream_buffer  StreamBuffer: one connection's two directions, put back in order

The kernel says where every run of bytes stands in its direction, so order and loss are arithmetic.
No clock here: time is what events and ``tick`` say it is.
"""

from otel_qtap.reassembly.statistics import ReassemblyStatistics
from otel_qtap.reassembly.tracker import ConnectionTracker

__all__ = ["ConnectionTracker", "ReassemblyStatistics"]
