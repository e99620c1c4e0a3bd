# SPDX-License-Identifier: Apache-2.0
"""Where the dynamic linker would find a library: its cache and the usual directories."""

import os
import re
from contextlib import suppress

from otel_qtap.discovery.bounded import read_bounded

CACHE = "etc/ld.so.cache"
DIRECTORIES = (
    "lib",
    "lib64",
    "lib/x86_64-linux-gnu",
    "usr/lib",
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "usr/local/lib",
    "usr/local/lib64",
)
"""Looked through as well, because musl systems have no cache."""

_MAX_CACHE = 16 << 20
_PATH = re.compile(rb"(?<=\0)/[^\0\n]{1,4096}(?=\0)")


def library_paths(root: str = "/") -> set[str]:
    """Paths of files that may be libraries, links among them, below a file system root."""
    # Whatever the version of the cache's format, its paths are NUL-terminated strings.
    cached = _PATH.findall(read_bounded(_under(root, CACHE), _MAX_CACHE))
    paths = {_under(root, os.fsdecode(path)) for path in cached}
    for directory in DIRECTORIES:
        with suppress(OSError), os.scandir(_under(root, directory)) as entries:
            paths.update(entry.path for entry in entries)
    return paths


def _under(root: str, path: str) -> str:
    return f"{root.rstrip('/')}/{path.lstrip('/')}"
