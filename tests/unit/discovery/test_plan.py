# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

from otel_qtap.discovery.plan import FileIdentity


def test_a_device_is_also_told_as_the_kernel_keeps_it(tmp_path: Path) -> None:
    status = tmp_path.stat()
    identity = FileIdentity(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)

    assert identity.kernel_device >> 20 == os.major(status.st_dev)
    assert identity.kernel_device & 0xFFFFF == os.minor(status.st_dev)
    assert FileIdentity(os.makedev(259, 300), 0, 0, 0).kernel_device == 259 << 20 | 300
