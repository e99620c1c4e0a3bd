# SPDX-License-Identifier: Apache-2.0
"""What files may hold, remembered on disk: one small JSON file, so that most are not even opened at a start.

A file is known by device, inode, times of birth and change, and size. Anything unreadable is ignored, and
nothing is believed that other rules found.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from otel_qtap.discovery.plan import FileIdentity
from otel_qtap.discovery.recognition import Recognition
from otel_qtap.probes.registry import LIBRARIES
from otel_qtap.probes.unsupported import UNSUPPORTED

FORMAT = 1
"""To be raised with every change of what is stored, or of the rules of ``discovery.recognition``."""

MAX_FILES = 8192
"""Those that were asked for last are kept."""
_MAX_BYTES = 4 << 20


def rules() -> str:
    """Tells the rules apart by which files are recognised."""
    signs = [(library.name, library.signs) for library in LIBRARIES]
    signs += [(entry.name, entry.signs) for entry in UNSUPPORTED]
    return hashlib.sha256(f"{FORMAT} {signs}".encode()).hexdigest()[:16]


class RecognitionCache:
    """Remembers recognitions; ``directory`` None: in memory only."""

    def __init__(self, directory: Path | None) -> None:
        self._path = directory and directory / "recognised.json"
        self._known: dict[FileIdentity, Recognition] = {}
        self._is_changed = False
        if self._path:
            with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                self._load(self._path)

    def _load(self, path: Path) -> None:
        with path.open("rb") as file:
            entry = json.loads(file.read(_MAX_BYTES))
        files = entry["files"]
        if entry["rules"] != rules() or not isinstance(files, list):
            return
        for device, inode, mtime_ns, size, birth_ns, is_stacked, libraries, unsupported in files[-MAX_FILES:]:
            identity = FileIdentity(
                int(device), int(inode), int(mtime_ns), int(size), int(birth_ns), bool(is_stacked)
            )
            self._known[identity] = Recognition(tuple(map(str, libraries)), tuple(map(str, unsupported)))

    def get(self, identity: FileIdentity) -> Recognition | None:
        """What this file, in this state, may hold; None when that is not known."""
        found = self._known.pop(identity, None)
        if found is not None:
            self._known[identity] = found
        return found

    def put(self, identity: FileIdentity, found: Recognition) -> None:
        """Remember what a file may hold."""
        self._known[identity] = found
        self._is_changed = True
        while len(self._known) > MAX_FILES:
            self._known.pop(next(iter(self._known)))

    def save(self) -> None:
        """Write what is new. A directory that cannot be written is no error: nothing is remembered then."""
        if not self._path or not self._is_changed:
            return
        self._is_changed = False
        files = [(*identity, *found) for identity, found in self._known.items()]
        temporary = self._path.with_name(f".recognised-{os.urandom(8).hex()}")
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(descriptor, "w") as file:
                    json.dump({"rules": rules(), "files": files}, file)
                temporary.replace(self._path)
            except OSError:
                temporary.unlink(missing_ok=True)
