# SPDX-License-Identifier: Apache-2.0
"""Stores with known exchanges in them, written by the real archive."""

from pathlib import Path

from otel_qtap.model.classified import ClassifiedExchange, ClearedPayload
from otel_qtap.model.record import Record
from otel_qtap.objectstore import Archive, ObjectStore
from tests.support.cleared import BOOT_UNIX_NS, counting_targets, request, response, submit


def store_exchanges(store: ObjectStore, state: Path, *items: ClassifiedExchange) -> list[Record]:
    """Put exchanges into ``store``, in one segment if they are of one service."""
    archive = Archive(
        store,
        state,
        segment_bytes=1 << 30,
        segment_seconds=5,
        max_disk_bytes=1 << 30,
        new_upload_target=counting_targets(),
        now_ns=lambda: 0,
        to_unix_ns=lambda boot_ns: BOOT_UNIX_NS + boot_ns,
    )
    archive.start()
    records = [submit(archive, item) for item in items]
    assert archive.shutdown(30)
    return records


def posting(media_type: str, body: bytes, *fields: str, **known: object) -> ClearedPayload:
    """A request with a body."""
    return request(_head("POST /v1/orders?id=7 HTTP/1.1", media_type, body, *fields), body, **known)


def answering(media_type: str, body: bytes, *fields: str, **known: object) -> ClearedPayload:
    """A response with a body."""
    return response(body, _head("HTTP/1.1 200 OK", media_type, body, *fields), **known)


def _head(start_line: str, media_type: str, body: bytes, *fields: str) -> bytes:
    lines = [start_line, f"Content-Type: {media_type}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")
