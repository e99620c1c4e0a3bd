# SPDX-License-Identifier: Apache-2.0
"""One segment on the local disk: a WARC file that grows, then waits for its upload.

Three files per segment in one directory, all of mode 0600:

<id>.open        the records while the segment grows
<id>.warc.gz     the same file once it is sealed
<id>.manifest    one line of JSON (``SegmentManifest``), then 24 bytes per exchange once it is sealed:
                 the trace and span ids that refer to it

The manifest is written before the first record, so that a segment that a crash left behind can
still go where its references point.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from otel_qtap.model.trace import SpanIdentity, SpanTarget

OPEN_SUFFIX = ".open"
SEALED_SUFFIX = ".warc.gz"
MANIFEST_SUFFIX = ".manifest"
SPAN_BYTES = 24
FILE_OVERHEAD = 8192
"""What a segment takes on the disk beyond its content: the rest of a block for each of two files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentManifest:
    """What must outlive the process that wrote a segment."""

    segment_id: str
    store_url: str
    key: str
    uri: str
    """The object's URL, without a fragment."""
    upload: SpanTarget
    """The span that the upload will be; links point at it already."""
    records: int = 0

    def to_json(self) -> bytes:
        """One line, without its end."""
        fields = asdict(self)
        fields["upload"] = [self.upload.trace_id.hex(), self.upload.span_id.hex()]
        return json.dumps(fields).encode()

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """The inverse of ``to_json``. Raises ValueError for anything else."""
        try:
            fields = json.loads(line)
            trace_id, span_id = (bytes.fromhex(digits) for digits in fields.pop("upload"))
            return cls(upload=SpanTarget(trace_id=trace_id, span_id=span_id), **fields)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError("not the manifest of a segment") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSegment:
    """A segment that is complete on the local disk."""

    manifest: SegmentManifest
    directory: Path
    size: int
    """Of the WARC file, in bytes."""
    disk_bytes: int
    """Of all its files."""
    unsaved_spans: bytes = b""
    """The ids that belong into the manifest, where the disk refused them."""

    @property
    def path(self) -> Path:
        """The WARC file."""
        return self.directory / f"{self.manifest.segment_id}{SEALED_SUFFIX}"

    def spans(self) -> tuple[SpanTarget, ...]:
        """The spans that refer to this segment; none if that cannot be read any more."""
        if self.unsaved_spans:
            return split_spans(self.unsaved_spans)
        try:
            _, spans = read_manifest(self.directory, self.manifest.segment_id)
        except (OSError, ValueError):
            return ()
        return spans

    def delete(self) -> None:
        """Remove its files, those that are left."""
        self.path.unlink(missing_ok=True)
        (self.directory / f"{self.manifest.segment_id}{MANIFEST_SUFFIX}").unlink(missing_ok=True)


class OpenSegment:
    """A segment that grows: ``add`` takes records, ``write`` brings what was added to the disk.

    Raises OSError where the disk refuses; what was written before stays whole. ``size`` and ``records``
    count what was added, too, because the references are made from them.
    """

    __slots__ = (
        "_added",
        "_descriptor",
        "_directory",
        "_spans",
        "_written",
        "manifest",
        "opened_ns",
        "records",
        "size",
        "uri",
    )

    def __init__(
        self, directory: Path, manifest: SegmentManifest, *, opened_ns: int, first_member: bytes
    ) -> None:
        self.manifest = manifest
        self.uri = manifest.uri
        self.opened_ns = opened_ns
        self.size = len(first_member)
        self.records = 0
        self._directory = directory
        self._spans = bytearray()
        self._added = [first_member]
        # Bytes, records and bytes of span ids that are on the disk.
        self._written = (0, 0, 0)
        self._descriptor = -1
        try:
            write_manifest(directory, manifest, b"")
            self._descriptor = os.open(
                directory / f"{manifest.segment_id}{OPEN_SUFFIX}",
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                0o600,
            )
            self.write()
        except OSError:
            self.discard()
            raise

    @property
    def disk_bytes(self) -> int:
        """Bytes that it takes on the disk, or will when it is sealed."""
        return self.size + len(self._spans) + FILE_OVERHEAD

    def add(self, members: bytes, *, records: int, identity: SpanIdentity) -> None:
        """Add the records of one exchange."""
        self._added.append(members)
        self.size += len(members)
        self.records += records
        self._spans += identity.trace_id
        self._spans += identity.span_id

    def write(self) -> None:
        """Write what was added since the last time, whole or, where the disk refuses, not at all."""
        data = b"".join(self._added)
        self._added.clear()
        position, _, spans = self._written
        end = self.size
        try:
            # At an explicit position: what a failed write left behind is overwritten by the next one.
            position += os.pwrite(self._descriptor, data, position)
            while position < end:
                position += os.pwrite(self._descriptor, data[position - end :], position)
        except OSError:
            self.size, self.records, _ = self._written
            del self._spans[spans:]
            raise
        self._written = (end, self.records, len(self._spans))

    def spans(self) -> tuple[SpanTarget, ...]:
        """The spans that refer to this segment, those of records that are still to be written included."""
        return split_spans(bytes(self._spans))

    def seal(self) -> SealedSegment:
        """Close the file, all of it written, and make it ready for upload."""
        os.ftruncate(self._descriptor, self.size)
        self._close()
        return seal_file(
            self._directory, self.manifest, size=self.size, records=self.records, spans=bytes(self._spans)
        )

    def discard(self) -> None:
        """Close the file and remove everything."""
        self._close()
        for suffix in (OPEN_SUFFIX, SEALED_SUFFIX, MANIFEST_SUFFIX):
            (self._directory / f"{self.manifest.segment_id}{suffix}").unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def seal_file(
    directory: Path, manifest: SegmentManifest, *, size: int, records: int, spans: bytes
) -> SealedSegment:
    """Turn ``<id>.open``, which holds ``size`` good bytes, into a sealed segment."""
    sealed = replace(manifest, records=records)
    name = manifest.segment_id
    unsaved = b""
    try:
        write_manifest(directory, sealed, spans)
    except OSError:
        # A full disk: the manifest of the beginning is still there, and enough for an upload.
        unsaved = spans
    (directory / f"{name}{OPEN_SUFFIX}").replace(directory / f"{name}{SEALED_SUFFIX}")
    return SealedSegment(
        manifest=sealed,
        directory=directory,
        size=size,
        disk_bytes=size + len(spans) + FILE_OVERHEAD,
        unsaved_spans=unsaved,
    )


def write_manifest(directory: Path, manifest: SegmentManifest, spans: bytes) -> None:
    """Write the manifest file, whole or not at all. Raises OSError."""
    content = manifest.to_json() + b"\n" + spans
    final = directory / f"{manifest.segment_id}{MANIFEST_SUFFIX}"
    partial = final.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(final)


def read_manifest(directory: Path, segment_id: str) -> tuple[SegmentManifest, tuple[SpanTarget, ...]]:
    """The manifest and the spans that refer to the segment. Raises OSError, ValueError."""
    content = (directory / f"{segment_id}{MANIFEST_SUFFIX}").read_bytes()
    line, _, ids = content.partition(b"\n")
    return SegmentManifest.from_json(line), split_spans(ids)


def split_spans(ids: bytes) -> tuple[SpanTarget, ...]:
    """Trace and span ids from their 24 bytes each."""
    return tuple(
        SpanTarget(trace_id=ids[at : at + 16], span_id=ids[at + 16 : at + SPAN_BYTES])
        for at in range(0, len(ids) - SPAN_BYTES + 1, SPAN_BYTES)
    )
