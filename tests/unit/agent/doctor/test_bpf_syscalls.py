# SPDX-License-Identifier: Apache-2.0
import errno
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import bpf_syscalls

ROOT = Path(__file__).parents[4]

UNPRIVILEGED = """
from otel_qtap.agent.doctor import bpf_syscalls
for probe in (bpf_syscalls.load_program, bpf_syscalls.make_ring_buffer, bpf_syscalls.has_uprobe_multi):
    try:
        probe()
    except OSError as error:
        print(error.errno)
"""


def open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@pytest.mark.bpf
def test_this_kernel_can_and_nothing_is_left_open() -> None:
    before = open_descriptors()
    bpf_syscalls.load_program()
    bpf_syscalls.make_ring_buffer()
    release = tuple(int(part) for part in platform.release().split(".")[:2])
    assert bpf_syscalls.has_uprobe_multi() is (release >= (6, 6))
    assert open_descriptors() == before


@pytest.mark.bpf
def test_without_capabilities_each_is_refused() -> None:
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", UNPRIVILEGED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [int(line) for line in done.stdout.split()] == [errno.EPERM] * 3
