# SPDX-License-Identifier: Apache-2.0
"""Closing the perf events of probes.

The kernel takes some 0.1 s for each, one after the other on the whole host (perf_trace_destroy waits under
its event_mutex), and a process does not end before its own are closed. An agent that is told to stop has no
time for that, nor has one that is to notice the next program.
"""

import gc
import os
from collections.abc import Sequence

from otel_qtap.descriptors import close_others


def close_elsewhere(descriptors: Sequence[int]) -> None:
    """Close these without waiting for it: a process of its own closes them last, and ends when that is done.

    It holds nothing else, and is nobody's child. If there can be no such process, this waits.
    """
    if not descriptors:
        return
    closed_here, close_here = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        pass
    else:
        if pid == 0:
            _hold_in_a_grandchild(descriptors, closed_here)
        os.waitpid(pid, 0)
    for descriptor in (*descriptors, close_here, closed_here):
        os.close(descriptor)


def _hold_in_a_grandchild(descriptors: Sequence[int], closed_there: int) -> None:
    try:
        gc.disable()
        if os.fork() == 0:
            close_others((*descriptors, closed_there))
            os.closerange(0, 3)  # whoever reads our output must not wait for its end
            os.read(closed_there, 1)  # the end, said once they are closed there: whoever closes last waits
    finally:
        os._exit(0)  # which closes what is left
