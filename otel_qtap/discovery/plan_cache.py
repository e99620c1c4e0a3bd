# SPDX-License-Identifier: Apache-2.0
"""Analyses on disk: one small JSON file per library file, written atomically, mode 0600.

The name is the build-id with the file size, else device, inode, mtime and size. A build-id alone is
no proof of equal files (patchelf moves code and keeps it, and anybody can copy one), so an
entry is used only if the bytes at each of its sites are what they were. Anything unreadable is
ignored and written anew.
"""

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from otel_qtap.discovery.elf import ElfError, ElfFile
from otel_qtap.discovery.plan import Analysis, ProbeSite, Refusal, RoleField, SiteKind
from otel_qtap.probes.spec import TlsLibrary

FORMAT = 3
"""To be raised with every change of what is stored, of the rules that find it, or of the probe tables."""

_MAX_ENTRY_BYTES = 64 << 10


class PlanCache:
    """Remembers analyses in a directory, which is made when it is missing.

    A directory that cannot be written is no error: nothing is remembered then.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, elf: ElfFile, library: TlsLibrary) -> Analysis | None:
        """The remembered analysis of this very file, or None."""
        try:
            with self._path(elf, library).open("rb") as file:
                entry = json.loads(file.read(_MAX_ENTRY_BYTES))
            if entry["format"] != FORMAT:
                return None
            found = _from_json(entry)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return found if _still_true(elf, found) else None

    def put(self, elf: ElfFile, library: TlsLibrary, found: Analysis) -> None:
        """Remember an analysis."""
        entry = {
            "format": FORMAT,
            "sites": [site._asdict() for site in found.sites],
            "role": found.role,
            "refusals": found.refusals,
        }
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self._directory, prefix=".plan-")  # mode 0600
            try:
                with os.fdopen(descriptor, "w") as file:
                    json.dump(entry, file)
                Path(temporary).replace(self._path(elf, library))
            except OSError:
                Path(temporary).unlink(missing_ok=True)

    def _path(self, elf: ElfFile, library: TlsLibrary) -> Path:
        device, inode, mtime_ns, size = elf.identity
        build_id = elf.build_id
        key = f"{build_id}-{size}" if build_id else f"{device}-{inode}-{mtime_ns}-{size}"
        return self._directory / f"{library.name}-{key}.json"


def _from_json(entry: dict[str, Any]) -> Analysis:
    role = entry["role"]
    return Analysis(
        tuple(
            ProbeSite(
                function=str(site["function"]),
                cookie=int(site["cookie"]),
                file_offset=int(site["file_offset"]),
                needs_return=bool(site["needs_return"]),
                kind=SiteKind(site["kind"]),
                instruction=str(site["instruction"]),
                code=str(site["code"]),
                reason=str(site["reason"]),
            )
            for site in entry["sites"]
        ),
        RoleField(int(role[0]), None if role[1] is None else int(role[1])) if role else None,
        tuple(Refusal(str(function), str(reason)) for function, reason in entry["refusals"]),
    )


def _still_true(elf: ElfFile, found: Analysis) -> bool:
    try:
        return all(elf.read(site.file_offset, len(site.code) // 2).hex() == site.code for site in found.sites)
    except ElfError:
        return False
