# SPDX-License-Identifier: Apache-2.0
"""Whether the clock is right, as far as the kernel knows (adjtimex(2))."""

import ctypes

from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, ok, skip, warn

_TIMEX_BYTES = 208
_TIME_ERROR = 5
"""The kernel was told of no time server that keeps the clock."""


def synchronised(_host: Host) -> Outcome:
    """Spans of two hosts are put in order by their clocks."""
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state < 0:
        return skip("the kernel does not tell")
    if state != _TIME_ERROR:
        return ok("synchronised")
    return warn(
        "not synchronised, as far as the kernel knows",
        detail="In a trace over two hosts a server's span may seem to begin before its client's.",
        remedy="Run a time service on the host (chrony, systemd-timesyncd).",
    )
