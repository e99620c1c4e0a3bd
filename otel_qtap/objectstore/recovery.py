# SPDX-License-Identifier: Apache-2.0
"""Segments that an earlier process left: sealed ones as they are, open ones up to the last whole record."""

import logging
from dataclasses import dataclass
from pathlib import Path

from otel_qtap.model.trace import SpanTarget
from otel_qtap.objectstore.members import read_members
from otel_qtap.objectstore.segment import (
    FILE_OVERHEAD,
    MANIFEST_SUFFIX,
    OPEN_SUFFIX,
    SEALED_SUFFIX,
    SPAN_BYTES,
    SealedSegment,
    SegmentManifest,
    read_manifest,
    seal_file,
)

_RECORD_LIMIT = 1 << 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was found: segments, oldest first, and the number of those beyond repair (removed)."""

    segments: tuple[SealedSegment, ...]
    lost: int


def recover_segments(directory: Path) -> Recovered:
    """Make every segment in the directory ready for upload; nothing else may be writing there."""
    segments = []
    lost = 0
    # Names begin with the time of opening.
    for path in sorted(directory.iterdir()):
        if path.name.endswith(OPEN_SUFFIX):
            segment = _repair(path)
        elif path.name.endswith(SEALED_SUFFIX):
            segment = _take(path)
        else:
            continue
        if segment is None:
            lost += 1
        else:
            segments.append(segment)
    known = {segment.manifest.segment_id for segment in segments}
    for path in directory.iterdir():
        if path.suffix == ".partial" or (path.suffix == MANIFEST_SUFFIX and path.stem not in known):
            path.unlink(missing_ok=True)
    return Recovered(segments=tuple(segments), lost=lost)


def _take(path: Path) -> SealedSegment | None:
    segment_id = path.name.removesuffix(SEALED_SUFFIX)
    found = _manifest(path, segment_id)
    if found is None:
        return None
    manifest, spans = found
    size = path.stat().st_size
    return SealedSegment(
        manifest=manifest,
        directory=path.parent,
        size=size,
        disk_bytes=size + len(spans) * SPAN_BYTES + FILE_OVERHEAD,
    )


def _repair(path: Path) -> SealedSegment | None:
    """Cut off what a crash left unfinished and find the spans again, in the records themselves."""
    segment_id = path.name.removesuffix(OPEN_SUFFIX)
    found = _manifest(path, segment_id)
    if found is None:
        return None
    manifest, _ = found
    size = 0
    records = 0
    spans: dict[bytes, None] = {}
    with path.open("r+b") as file:
        for member in read_members(file, _RECORD_LIMIT):
            size = member.first + member.length
            if (span := _span(member.content)) is not None:
                records += 1
                spans[span] = None
        file.truncate(size)
    if not records:
        # It was opened for an exchange whose reference nobody got.
        path.unlink()
        return None
    return seal_file(path.parent, manifest, size=size, records=records, spans=b"".join(spans))


def _manifest(path: Path, segment_id: str) -> tuple[SegmentManifest, tuple[SpanTarget, ...]] | None:
    try:
        return read_manifest(path.parent, segment_id)
    except (OSError, ValueError):
        logger.warning("segment %s has no readable manifest, so nothing can refer to it: removed", segment_id)
        path.unlink()
        return None


def _span(record: bytes) -> bytes | None:
    """Trace and span id from the header of a record; None for a record that no span refers to."""
    fields = {}
    for line in record[: record.find(b"\r\n\r\n")].split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        fields[name] = value
    try:
        return bytes.fromhex(fields[b"Qtap-Trace-Id"].decode()) + bytes.fromhex(
            fields[b"Qtap-Span-Id"].decode()
        )
    except (KeyError, ValueError):
        return None
