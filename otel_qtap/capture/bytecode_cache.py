# SPDX-License-Identifier: Apache-2.0
"""Bytecode on disk: one JSON file, 0600, for the last sources, flags and kernel that it was compiled for.

Whoever can write there decides what is loaded into the kernel, so a file of another account, or in a
directory that others may write to, is not read.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from otel_qtap.capture.bytecode import Bytecode, BytecodeError, from_entry

_MAX_BYTES = 8 << 20
_OTHERS_MAY_WRITE = 0o022


class BytecodeCache:
    """Remembers in a directory, which must be the caller's own."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "bytecode.json"

    def get(self, key: str) -> Bytecode | None:
        """What was kept under this key, or None."""
        try:
            if not _is_ours(self._path.parent) or not _is_ours(self._path):
                return None
            with self._path.open("rb") as file:
                entry = json.loads(file.read(_MAX_BYTES))
            return from_entry(entry["bytecode"]) if entry["key"] == key else None
        except (OSError, ValueError, TypeError, KeyError, RecursionError, BytecodeError):
            return None

    def put(self, key: str, bytecode: Bytecode) -> None:
        """Keep it instead of what was kept. A directory that cannot be written is no error."""
        temporary = self._path.with_name(f".bytecode-{os.urandom(8).hex()}")
        with suppress(OSError):
            if not _is_ours(self._path.parent):
                return
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(descriptor, "w") as file:
                    json.dump({"key": key, "bytecode": bytecode.to_entry()}, file)
                temporary.replace(self._path)
            except OSError:
                temporary.unlink(missing_ok=True)


def key_of(source: Path, request: Mapping[str, Any]) -> str:
    """Changes with the kernel, with what is asked of the compiler, and with any file beside the source."""
    digest = hashlib.sha256(f"{platform.release()} {platform.version()}\n{json.dumps(request)}".encode())
    for path in sorted(source.parent.rglob("*.[ch]")):
        digest.update(f"\n{path.relative_to(source.parent)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _is_ours(path: Path) -> bool:
    status = path.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE
