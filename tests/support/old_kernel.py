# SPDX-License-Identifier: Apache-2.0
"""What an older kernel would offer, so that the ways around what it lacks are tested on this one."""

from otel_qtap.discovery.btf import SOCKET_TRACEPOINTS, kernel_offsets


def offsets_for(attach: str) -> dict[str, int]:
    """Flags of the BPF programs: ``perf`` stands for a kernel before 6.3, which tells sends and receives by
    syscalls only, ``multi`` for this one."""
    offsets = kernel_offsets()
    if attach == "perf":
        offsets.pop(SOCKET_TRACEPOINTS, None)
    return offsets
