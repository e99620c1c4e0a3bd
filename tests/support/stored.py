# SPDX-License-Identifier: Apache-2.0
"""Stored payloads as a stranger reads them: a byte range of an object, gunzipped, read by ``warcio``."""

import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from warcio.archiveiterator import ArchiveIterator

from tests.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Range:
    """Where a reference points: an object and the first and last byte of the record in it."""

    url: str
    first: int
    last: int

    @property
    def path(self) -> Path:
        """The file of a ``file:`` URL."""
        return Path(unquote(urlsplit(self.url).path))


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One record: ``fields`` of WARC and ``http_fields`` of the message, names in lower case."""

    record_type: str
    fields: dict[str, str]
    start_line: str
    http_fields: dict[str, str]
    body: bytes
    """Without chunk framing; content coding as it was."""


def parse_reference(uri: str) -> Range:
    """``<URL>#bytes=first-last`` taken apart."""
    url, _, fragment = uri.partition("#bytes=")
    first, _, last = fragment.partition("-")
    return Range(url, int(first), int(last))


def read_reference(uri: str) -> StoredMessage:
    """The record of a reference into a local store, read by that range alone."""
    where = parse_reference(uri)
    with where.path.open("rb") as segment:
        segment.seek(where.first)
        member = segment.read(where.last - where.first + 1)
    return read_member(member)


def wait_for_reference(uri: str) -> StoredMessage:
    """As ``read_reference``, after the segment has been closed and is in the store."""
    eventually(parse_reference(uri).path.exists, f"{uri} is in the store")
    return read_reference(uri)


def read_member(member: bytes) -> StoredMessage:
    """The one record of one gzip member."""
    (message,) = read_segment(member)
    return message


def read_segment(data: bytes) -> Iterator[StoredMessage]:
    """All records of a segment, but for the one that describes the file."""
    for record in ArchiveIterator(io.BytesIO(data), check_digests="raise"):
        if record.rec_type == "warcinfo":
            continue
        http = record.http_headers
        yield StoredMessage(
            record_type=record.rec_type,
            fields={name.lower(): value for name, value in record.rec_headers.headers},
            start_line=f"{http.protocol} {http.statusline}".strip() if http else "",
            http_fields={name.lower(): value for name, value in http.headers} if http else {},
            body=_body(record.raw_stream.read(), chunked=_is_chunked(http)),
        )


def _is_chunked(http: Any) -> bool:
    return http is not None and http.get_header("transfer-encoding") == "chunked"


def _body(content: bytes, *, chunked: bool) -> bytes:
    """Content without chunk framing; ``warcio`` itself would leave the trailer fields in."""
    if not chunked:
        return content
    body = b""
    while True:
        line, _, content = content.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not size:
            return body
        body, content = body + content[:size], content[size + 2 :]


def plain_segments(directory: Path) -> bytes:
    """All segments of a local store, gunzipped and joined."""
    return b"".join(gzip.decompress(path.read_bytes()) for path in sorted(directory.rglob("*.warc.gz")))
