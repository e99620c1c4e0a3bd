# SPDX-License-Identifier: Apache-2.0
"""What an older kernel would offer, so that the ways around what it lacks are tested on this one."""

from otel_qtap.discovery.btf import ATTACH_COOKIES, SOCKET_TRACEPOINTS, kernel_offsets


def offsets_for(attach: str) -> dict[str, int]:
    """Flags of the BPF programs. ``multi`` stands for this kernel, ``perf`` for one before 6.3, which tells
    sends and receives by syscalls only, ``plain`` for one before 5.15, whose probes have no cookies either.
    """
    offsets = kernel_offsets()
    if attach != "multi":
        offsets.pop(SOCKET_TRACEPOINTS, None)
    if attach == "plain":
        offsets.pop(ATTACH_COOKIES, None)
    return offsets
