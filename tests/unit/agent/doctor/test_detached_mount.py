# SPDX-License-Identifier: Apache-2.0
import errno
import os
from pathlib import Path

import pytest

from otel_qtap.agent.doctor.detached_mount import detached_mount


@pytest.mark.bpf
def test_a_filesystem_is_seen_and_leaves_no_trace() -> None:
    before = Path("/proc/self/mountinfo").read_text()
    with detached_mount("tracefs") as mount:
        assert os.stat("events", dir_fd=mount).st_mode
        assert Path("/proc/self/mountinfo").read_text() == before
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(mount)


@pytest.mark.bpf
def test_an_unknown_kind() -> None:
    with pytest.raises(OSError, match="No such device") as refusal, detached_mount("nosuchfs"):
        pass
    assert refusal.value.errno == errno.ENODEV
