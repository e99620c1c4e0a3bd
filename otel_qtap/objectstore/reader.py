# SPDX-License-Identifier: Apache-2.0
"""From a payload reference to the message that it names, by ranged reads only.

A reference is ``<object URL>#bytes=first-last``. The response of a request is the next member of
the segment; the request of a response is at the range that the response's record names.
"""

import zlib
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple, Self

from otel_qtap.errors import StoreError
from otel_qtap.model.exchange import Part
from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.objectstore.members import CHUNK_BYTES, Inflater, MemberError

RECORD_LIMIT = 1 << 30
"""Most bytes of one record, and of one decoded body: what inflates to more is refused."""
_MARK = "#bytes="
_LONGEST_READ = 16 << 20


class Reference(NamedTuple):
    """The parts of a payload reference."""

    object_url: str
    first: int
    last: int

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Raises ValueError for anything but ``<object URL>#bytes=first-last``."""
        object_url, mark, span = uri.rpartition(_MARK)
        first, dash, last = span.partition("-")
        if not (mark and object_url and dash and _is_number(first) and _is_number(last)):
            raise ValueError("a payload reference looks like s3://bucket/key#bytes=first-last")
        if int(last) < int(first):
            raise ValueError(f"the range of the reference ends before it begins: {span}")
        return cls(object_url, int(first), int(last))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """One WARC record. ``fields`` have their names in lower case; of a repeated one the last counts."""

    fields: dict[str, str]
    block: bytes
    """The message: of HTTP its head, body and framing."""

    @property
    def part(self) -> Part:
        """Which half of its exchange the record is."""
        return Part(self.fields["warc-type"])

    @property
    def body(self) -> bytes:
        """The body as the application saw it: without transfer framing, with its content coding."""
        offset = int(self.fields["qtap-body-offset"])
        return self.block[offset : offset + int(self.fields["qtap-body-length"])]

    def decoded_body(self) -> bytes:
        """The body without its content codings. Raises StoreError for one that is not to be undone."""
        body = self.body
        codings = self.fields.get("qtap-body-encoding", "").lower().split(",")
        for coding in reversed([name.strip() for name in codings]):
            body = _decode(coding, body)
        return body


def read_record(store: ObjectStore, key: str, first: int, last: int) -> StoredRecord:
    """The record at exactly this range of an object. Raises StoreError."""
    data = store.get_range(key, first, last)
    if len(data) != last - first + 1:
        raise StoreError(f"{store.url}/{key} ends before byte {last}", retryable=False)
    inflater = Inflater(RECORD_LIMIT)
    try:
        complete = inflater.feed(data)
        if not complete or inflater.rest:
            raise MemberError("not the range of a whole record")
        return _parse(inflater.content)
    except MemberError as error:
        raise StoreError(f"{store.url}/{key}, bytes {first}-{last}: {error}", retryable=False) from error


def read_part(store: ObjectStore, key: str, first: int, last: int, part: Part | None) -> StoredRecord:
    """The record at a range, or the other half of its exchange where ``part`` asks for that."""
    record = read_record(store, key, first, last)
    if part is None or record.part is part:
        return record
    if part is Part.REQUEST:
        request_first, _, request_last = record.fields.get("qtap-concurrent-range", "").partition("-")
        if not (_is_number(request_first) and _is_number(request_last)):
            raise StoreError("the request of this response was not stored", retryable=False)
        return read_record(store, key, int(request_first), int(request_last))
    following = _read_member(store, key, last + 1)
    if following is None or following.fields.get("warc-record-id") != record.fields.get("warc-concurrent-to"):
        raise StoreError("the response of this request was not stored", retryable=False)
    return following


def _read_member(store: ObjectStore, key: str, first: int) -> StoredRecord | None:
    """The record that begins at ``first``, whose end is not known: read in steps that double."""
    inflater = Inflater(RECORD_LIMIT)
    step = CHUNK_BYTES
    while data := store.get_range(key, first, first + step - 1):
        try:
            if inflater.feed(data):
                return _parse(inflater.content)
        except MemberError as error:
            raise StoreError(f"{store.url}/{key}, from byte {first}: {error}", retryable=False) from error
        first += len(data)
        step = min(step * 2, _LONGEST_READ)
    return None


def _parse(content: bytes) -> StoredRecord:
    head, separator, rest = content.partition(b"\r\n\r\n")
    version, *lines = head.decode("utf-8", "replace").split("\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    length, offset, size = (
        fields.get(name, "") for name in ("content-length", "qtap-body-offset", "qtap-body-length")
    )
    if not (
        separator
        and version.startswith("WARC/1.")
        and fields.get("warc-type") in set(Part)
        and _is_number(length)
        and _is_number(offset)
        and _is_number(size)
        and int(offset) + int(size) <= int(length) <= len(rest)
    ):
        raise MemberError("not the record of a captured message")
    return StoredRecord(fields=fields, block=rest[: int(length)])


def _decode(coding: str, body: bytes) -> bytes:
    try:
        match coding:
            case "" | "identity":
                return body
            case "gzip" | "x-gzip":
                return _inflate(body, 31)
            case "deflate":
                # RFC 9110, 8.4.1.2: zlib's format, though some senders leave its wrapper out.
                return _inflate(body, 15 if body[:1] and body[0] & 0x0F == 8 else -15)
            case "br":
                brotli = import_module("brotli")
                return _bounded(brotli.Decompressor().process(body))
            case "zstd":
                zstandard = import_module("zstandard")
                with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
                    return _bounded(reader.read(RECORD_LIMIT + 1))
    except ImportError as error:
        raise StoreError(
            f"the content coding {coding} needs the Python package {error.name}, which is not installed",
            retryable=False,
        ) from error
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"the body is not valid {coding}", retryable=False) from error
    raise StoreError(f"unknown content coding {coding}", retryable=False)


def _inflate(body: bytes, window_bits: int) -> bytes:
    """Inflate all members of a body; what a cut-off body holds is given out as far as it goes."""
    parts = []
    room = RECORD_LIMIT + 1
    while body and room > 0:
        decompressor = zlib.decompressobj(window_bits)
        part = decompressor.decompress(body, room)
        parts.append(part)
        room -= len(part)
        if not decompressor.eof:
            break
        body = decompressor.unused_data
    return _bounded(b"".join(parts))


def _bounded(body: bytes) -> bytes:
    if len(body) > RECORD_LIMIT:
        raise StoreError(f"the decoded body is larger than {RECORD_LIMIT} bytes", retryable=False)
    return body


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 19
