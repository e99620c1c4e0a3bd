# SPDX-License-Identifier: Apache-2.0
"""Analyses on disk: one small JSON file per library file, written atomically, mode 0600.

The name is the build-id with the file size, else device, inode, mtime and size. That is no proof of equal
files (patchelf moves code and keeps a build-id, and anybody can copy one), so an entry comes with its
evidence. Anything unreadable is ignored and written anew.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.evidence import Evidence, Extent
from otel_qtap.discovery.plan import Analysis, ProbeSite, Refusal, SiteKind
from otel_qtap.probes.spec import ObjectLayout, TlsLibrary

FORMAT = 17
"""To be raised with every change of what is stored, of the rules that find it, or of the probe tables."""

MAX_ENTRY_BYTES = 64 << 10


class PlanCache:
    """Remembers analyses in a directory, which is made when it is missing.

    A directory that cannot be written is no error: nothing is remembered then.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, elf: ElfFile, library: TlsLibrary) -> Analysis | None:
        """What is remembered under this file's name: it holds for the file if its evidence does."""
        try:
            with self._path(elf, library).open("rb") as file:
                entry = json.loads(file.read(MAX_ENTRY_BYTES))
            return from_entry(entry)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def put(self, elf: ElfFile, library: TlsLibrary, found: Analysis) -> None:
        """Remember an analysis, if it can be told for which files it holds."""
        if found.evidence is None:
            return
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self._directory / f".plan-{os.urandom(8).hex()}"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(descriptor, "w") as file:
                    json.dump(to_entry(found), file)
                temporary.replace(self._path(elf, library))
            except OSError:
                temporary.unlink(missing_ok=True)

    def _path(self, elf: ElfFile, library: TlsLibrary) -> Path:
        device, inode, mtime_ns, size = elf.identity.state
        build_id = elf.build_id
        key = f"{build_id}-{size}" if build_id else f"{device}-{inode}-{mtime_ns}-{size}"
        return self._directory / f"{library.name}-{key}.json"


def to_entry(found: Analysis) -> dict[str, Any]:
    """An analysis in a form that JSON has."""
    return {
        "format": FORMAT,
        "sites": [site._asdict() for site in found.sites],
        "layout": asdict(found.layout),
        "refusals": found.refusals,
        "release": found.release,
        "by_code": found.by_code,
        "evidence": found.evidence,
    }


def from_entry(entry: dict[str, Any]) -> Analysis:
    """What ``to_entry`` made. Raises ValueError, TypeError or KeyError for anything else."""
    if entry["format"] != FORMAT:
        raise ValueError("written by another version")
    layout = {name: None if offset is None else int(offset) for name, offset in entry["layout"].items()}
    return Analysis(
        tuple(
            ProbeSite(
                function=str(site["function"]),
                cookie=int(site["cookie"]),
                file_offset=int(site["file_offset"]),
                needs_return=bool(site["needs_return"]),
                kind=SiteKind(site["kind"]),
                instruction=str(site["instruction"]),
                reason=str(site["reason"]),
            )
            for site in entry["sites"]
        ),
        ObjectLayout(**layout),
        tuple(
            Refusal(str(function), str(reason), bool(elsewhere))
            for function, reason, elsewhere in entry["refusals"]
        ),
        str(entry["release"]),
        bool(entry["by_code"]),
        _evidence(entry["evidence"]),
    )


def _evidence(entry: Any) -> Evidence | None:
    if entry is None:
        return None
    parts, digest = entry
    return Evidence(tuple(Extent(int(offset), int(size)) for offset, size in parts), str(digest))
