# SPDX-License-Identifier: Apache-2.0
"""Programs that may have a TLS library linked into them, where a host keeps its programs.

One that is met only when it runs is probed some 0.1 to 1 s later, and a command may be over by then. What
uses a shared library is small; what has one of its own is large.
"""

import os
import stat
from contextlib import suppress

DIRECTORIES = ("usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "bin", "sbin")
LEAST_BYTES = 4 << 20
"""Size of a program with TLS linked in: the smallest Go programs with HTTPS have 5 MiB."""
MOST = 64
"""Of the largest ones: each takes descriptors and, when it is met for the first time, up to a second."""


def large_programs(root: str = "/") -> list[str]:
    """Paths of executables of ``LEAST_BYTES`` or more below a file system root, the largest first."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for directory in DIRECTORIES:
        with suppress(OSError), os.scandir(f"{root.rstrip('/')}/{directory}") as entries:
            for entry in entries:
                with suppress(OSError):  # a link to nowhere
                    status = entry.stat()
                    if (
                        stat.S_ISREG(status.st_mode)
                        and status.st_mode & 0o111
                        and status.st_size >= LEAST_BYTES
                    ):
                        found.setdefault((status.st_dev, status.st_ino), (status.st_size, entry.path))
    return [path for _, path in sorted(found.values(), reverse=True)[:MOST]]
