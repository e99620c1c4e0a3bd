# SPDX-License-Identifier: Apache-2.0
"""ClassifiedExchange -> Record: payloads go into segments, references go on.

A reference is issued only for what is on the local disk already. Where the disk, or the bound on
it, refuses a payload, the Record says so instead. Exchanges come several at a time, because one write
for all of them costs little more than one for each.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from otel_qtap import __version__
from otel_qtap.conditions import Condition, State
from otel_qtap.errors import SettingsError
from otel_qtap.model.classified import ClassifiedExchange, ClearedPayload
from otel_qtap.model.identity import ProcessFacts
from otel_qtap.model.record import ObjectRef, Record, UploadOutcome
from otel_qtap.model.trace import SpanTarget
from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.objectstore.recovery import recover_segments
from otel_qtap.objectstore.segment import SEALED_SUFFIX, SPAN_BYTES, OpenSegment, SegmentManifest
from otel_qtap.objectstore.uploader import Uploader, UploaderStatistics
from otel_qtap.objectstore.warc import StoredMessage, WarcWriter

STORE_DISABLED = "store_disabled"
DISK_FULL = "disk_full"
DISK_ERROR = "disk_error"
MAX_OPEN_SEGMENTS = 64
CALM_NS = 60_000_000_000
"""After so long without a refusal the next one is news again."""
MAX_SERVICE_NAME = 200
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveStatistics:
    """What became of payloads so far, and what is where now."""

    exchanges: int
    """Exchanges with a payload; those stored and those refused."""
    records: int
    """Records written to the local disk."""
    captured_bytes: int
    """Bytes of bodies in those records."""
    written_bytes: int
    """Bytes of the members that hold them."""
    refused: dict[str, int]
    """Exchanges whose payloads were refused, by reason."""
    open_segments: int
    recovered_segments: int
    lost_segments: int
    """Segments of an earlier process that were beyond repair."""
    disk_bytes: int
    uploads: UploaderStatistics | None
    """None where there is no store."""


class Archive:
    """The segments of all services, from the first byte to the store.

    Used by one thread, but for the uploads. Times are CLOCK_BOOTTIME nanoseconds; ``now_ns`` reads
    that clock for the uploads and ``to_unix_ns`` converts it. ``store`` is None where the user wants
    none.

    The constructor touches no file, so that it may run before privileges are dropped: what is made
    with them, in a directory that the unprivileged account owns, would be out of its reach, or a
    trap of its making. ``open()`` takes the directory over, ``start()`` does that and starts the uploads.
    """

    def __init__(
        self,
        store: ObjectStore | None,
        state_directory: Path,
        *,
        segment_bytes: int,
        segment_seconds: float,
        max_disk_bytes: int,
        new_upload_target: Callable[[], SpanTarget],
        now_ns: Callable[[], int],
        to_unix_ns: Callable[[int], int],
    ) -> None:
        self._directory = state_directory / "segments"
        self._segment_bytes = segment_bytes
        self._segment_ns = int(segment_seconds * 1e9)
        self._max_disk_bytes = max_disk_bytes
        self._new_upload_target = new_upload_target
        self._to_unix_ns = to_unix_ns
        self._open: dict[str, _Growing] = {}
        self._unwritten: list[_Growing] = []
        self._open_bytes = 0
        self._ticked_ns = 0
        self._disk = Condition(logger, "otel_qtap.store.disk")
        self._refused_lately = False
        self._refused_ns = 0
        self._exchanges = 0
        self._records = 0
        self._captured_bytes = 0
        self._written_bytes = 0
        self._refused: dict[str, int] = {}
        self._recovered = 0
        self._lost = 0
        self._store = store
        self._lock = -1
        self._uploader = Uploader(store, now_ns=now_ns) if store is not None else None

    def open(self) -> None:
        """Claim the state directory, and what an earlier process left there. Raises SettingsError."""
        uploader = self._uploader
        if self._store is None or uploader is None or self._lock >= 0:
            return
        self._lock = _lock_directory(self._directory)
        found = recover_segments(self._directory)
        self._recovered = len(found.segments)
        self._lost = found.lost
        for segment in found.segments:
            uploader.submit(segment)
        if self._recovered or self._lost:
            logger.info(
                "%d segments of an earlier run wait for upload, %d were beyond repair",
                self._recovered,
                self._lost,
            )
        if uploader.stranded:
            logger.warning(
                "%d segments in %s belong to another store than %s; they are kept until "
                "OTEL_QTAP_OBJECTS_URL names it again or their room is needed",
                uploader.stranded,
                self._directory,
                self._store.url,
            )

    def start(self) -> None:
        """Open, and start the threads that upload. Raises SettingsError."""
        self.open()
        if self._uploader is not None:
            self._uploader.start()

    def submit(self, exchanges: Iterable[ClassifiedExchange]) -> list[Record]:
        """Store the payloads of some exchanges; their Records refer to them, or say why not."""
        records = []
        disabled = self._store is None
        for exchange in exchanges:
            record = Record(
                identity=exchange.identity,
                connection=exchange.connection,
                protocol=exchange.protocol,
                protocol_version=exchange.protocol_version,
                kind=exchange.kind,
                name=exchange.name,
                start_ns=exchange.start_ns,
                end_ns=exchange.end_ns,
                attributes=exchange.attributes,
                error_type=exchange.error_type,
                is_error=exchange.is_error,
                incomplete=exchange.incomplete,
                findings=exchange.findings,
            )
            records.append(record)
            if exchange.request is not None or exchange.response is not None:
                self._exchanges += 1
                if disabled:
                    self._refuse(record, STORE_DISABLED)
                    continue
                try:
                    self._keep(exchange, record)
                except _Refused as refusal:
                    self._refuse(record, refusal.reason)
        while self._unwritten:
            self._write(self._unwritten.pop())
        return records

    def _keep(self, exchange: ClassifiedExchange, record: Record) -> None:
        """Add the payloads to their segment. ``record`` gets its references, and waits for the write."""
        store = self._store
        uploader = self._uploader
        assert store is not None
        assert uploader is not None
        service = _service_name(exchange.connection.facts)
        growing = self._open.get(service)
        if growing is None:
            # An exchange may come long after its end, when its connection was given up at last.
            growing = self._open_segment(store, service, max(exchange.end_ns, self._ticked_ns))
        segment = growing.segment
        offset = segment.size
        request, response = growing.writer.encode(exchange, self._to_unix_ns(exchange.start_ns), offset)
        members = b""
        if request is not None and exchange.request is not None:
            members = request.member
            record.request_ref = self._reference(segment.uri, offset, request, exchange.request)
        if response is not None and exchange.response is not None:
            at = offset + len(members)
            members += response.member
            record.response_ref = self._reference(segment.uri, at, response, exchange.response)
        length = len(members)
        if self._open_bytes + uploader.disk_bytes + length > self._max_disk_bytes:
            self._make_room(uploader, length)
        record.upload = segment.manifest.upload
        segment.add(
            members, records=(request is not None) + (response is not None), identity=exchange.identity
        )
        self._open_bytes += length + SPAN_BYTES
        if not growing.unwritten:
            self._unwritten.append(growing)
        growing.unwritten.append(record)
        if segment.size >= self._segment_bytes:
            self._seal(service)

    def _write(self, growing: "_Growing") -> None:
        """Bring what was added to the disk, or take the references back."""
        records, growing.unwritten = growing.unwritten, []
        if not records:
            return
        segment = growing.segment
        before = segment.disk_bytes
        try:
            segment.write()
        except OSError as error:
            self._open_bytes += segment.disk_bytes - before
            reason = self._refusal(error).reason
            for record in records:
                self._refuse(record, reason)
            return
        for record in records:
            for ref in (record.request_ref, record.response_ref):
                if ref is not None:
                    self._records += 1
                    self._captured_bytes += ref.captured_size
                    self._written_bytes += ref.length

    def _refuse(self, record: Record, reason: str) -> None:
        record.request_ref = record.response_ref = record.upload = None
        record.refused = reason
        self._refused[reason] = self._refused.get(reason, 0) + 1

    @staticmethod
    def _reference(uri: str, offset: int, stored: StoredMessage, payload: ClearedPayload) -> ObjectRef:
        length = len(stored.member)
        return ObjectRef(
            uri=f"{uri}#bytes={offset}-{offset + length - 1}",
            offset=offset,
            length=length,
            sha256=stored.sha256,
            size=payload.size,
            captured_size=len(payload.body),
            content_type=payload.media_type,
            encoding=payload.encoding,
            truncated=payload.truncated,
            redacted=payload.redacted,
        )

    def _open_segment(self, store: ObjectStore, service: str, now_ns: int) -> "_Growing":
        if len(self._open) >= MAX_OPEN_SEGMENTS:
            self._seal(next(iter(self._open)))
        unix_ns = self._to_unix_ns(now_ns)
        when = datetime.fromtimestamp(unix_ns / 1e9, UTC)
        random_bytes = os.urandom(16)
        segment_id = f"{when:%Y%m%dT%H%M%SZ}-{random_bytes[10:].hex()}"
        name = _partition(service)
        key = f"service.name={name}/date={when:%Y-%m-%d}/hour={when:%H}/{segment_id}{SEALED_SUFFIX}"
        manifest = SegmentManifest(
            segment_id=segment_id,
            store_url=store.url,
            key=key,
            uri=store.object_url(key),
            upload=self._new_upload_target(),
        )
        writer = WarcWriter(random_bytes)
        member = writer.warcinfo(
            filename=f"{segment_id}{SEALED_SUFFIX}", software=f"otel-qtap/{__version__}", unix_ns=unix_ns
        )
        try:
            segment = OpenSegment(self._directory, manifest, opened_ns=now_ns, first_member=member)
        except OSError as error:
            raise self._refusal(error) from None
        self._open_bytes += segment.disk_bytes
        self._open[service] = growing = _Growing(segment, writer)
        return growing

    def _seal(self, service: str) -> None:
        growing = self._open.pop(service)
        self._write(growing)
        segment = growing.segment
        self._open_bytes -= segment.disk_bytes
        uploader = self._uploader
        assert uploader is not None
        try:
            uploader.submit(segment.seal())
        except OSError as error:
            self._refusal(error)
            uploader.announce_drop(segment.manifest, segment.size, segment.spans(), reason=DISK_ERROR)
            segment.discard()

    def _make_room(self, uploader: Uploader, length: int) -> None:
        """Drop the oldest segments that wait, as many as it takes. Raises _Refused if that is not enough."""
        self._disk.fail(
            DISK_FULL,
            "segments take all of the %d bytes of local disk that they may, by "
            "OTEL_QTAP_OBJECTS_MAX_DISK_BYTES: the oldest are dropped",
            self._max_disk_bytes,
        )
        self._refused_lately = True
        if self._open_bytes + length > self._max_disk_bytes:
            raise _Refused(DISK_FULL)
        while self._open_bytes + uploader.disk_bytes + length > self._max_disk_bytes:
            if not uploader.drop_oldest(DISK_FULL):
                raise _Refused(DISK_FULL)

    def _refusal(self, error: OSError) -> "_Refused":
        self._disk.fail(
            error.strerror or DISK_ERROR,
            "the local disk refuses segments: %s; payloads are not stored",
            error.strerror,
        )
        self._refused_lately = True
        return _Refused(DISK_FULL if error.errno in _FULL else DISK_ERROR)

    def tick(self, now_ns: int) -> None:
        """Close the segments that have become old."""
        self._ticked_ns = now_ns
        oldest = now_ns - self._segment_ns
        for service in [name for name, growing in self._open.items() if growing.segment.opened_ns <= oldest]:
            self._seal(service)
        if self._refused_lately:
            self._refused_lately = False
            self._refused_ns = now_ns
        elif not self._disk.well and now_ns - self._refused_ns > CALM_NS:
            self._disk.recover("there is room for segments on the local disk again")

    def outcomes(self) -> list[UploadOutcome]:
        """What became of segments since the last call. Does not block."""
        return self._uploader.outcomes() if self._uploader is not None else []

    def shutdown(self, deadline_seconds: float) -> bool:
        """Close and upload everything. True when nothing is left; else the next start goes on with it."""
        if self._uploader is None:
            return True
        for service in tuple(self._open):
            self._seal(service)
        done = self._uploader.shutdown(deadline_seconds)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        return done

    @property
    def delivery(self) -> State | None:
        """The same, and since when; None where there is no store."""
        return self._uploader.delivery if self._uploader is not None else None

    @property
    def healthy(self) -> bool:
        """Whether the store took the last segment that it was given."""
        return self._uploader is None or self._uploader.healthy

    def statistics(self) -> ArchiveStatistics:
        """The counts so far."""
        return ArchiveStatistics(
            exchanges=self._exchanges,
            records=self._records,
            captured_bytes=self._captured_bytes,
            written_bytes=self._written_bytes,
            refused=dict(self._refused),
            open_segments=len(self._open),
            recovered_segments=self._recovered,
            lost_segments=self._lost,
            disk_bytes=self._disk_bytes(),
            uploads=self._uploader.statistics() if self._uploader is not None else None,
        )

    def _disk_bytes(self) -> int:
        return self._open_bytes + (self._uploader.disk_bytes if self._uploader is not None else 0)


class _Growing:
    """The open segment of one service, and the Records that refer to what it has not written yet."""

    __slots__ = ("segment", "unwritten", "writer")

    def __init__(self, segment: OpenSegment, writer: WarcWriter) -> None:
        self.segment = segment
        self.writer = writer
        self.unwritten: list[Record] = []


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    """Payloads are not stored; ``reason`` is a value of ``qtap.payload.drop_reason``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _service_name(facts: ProcessFacts) -> str:
    """As the spans' resource has it, but for the colon of ``unknown_service:<executable>``.

    Tools of the Hadoop family cannot read paths with a colon, and one that is escaped is read in two ways.
    """
    if facts.service_name:
        return facts.service_name
    executable = facts.executable.rpartition("/")[2] or facts.command
    return f"unknown_service_{executable}" if executable else "unknown_service"


def _partition(service: str) -> str:
    """The name as a directory may have it, cut to a bound but never within an escape."""
    name = quote(service, safe="", errors="replace")[:MAX_SERVICE_NAME]
    return name[: name.rindex("%")] if "%" in name[-2:] else name


def _lock_directory(directory: Path) -> int:
    """Make the directory if need be, and claim it for this process. Raises SettingsError."""
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            f"OTEL_QTAP_STATE_DIRECTORY: cannot use {directory} as uid {os.geteuid()}: {error.strerror}; "
            "give the directory to that user, or name another one"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SettingsError(
            f"OTEL_QTAP_STATE_DIRECTORY: another otel-qtap writes to {directory}; give each its own directory"
        ) from error
    return descriptor
