# SPDX-License-Identifier: Apache-2.0
"""From a payload reference to the message that it names, by ranged reads only.

A reference is ``<object URL>#bytes=first-last``. The response of a request is the next member of
the segment; the request of a response is at the range that the response's record names.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

from otel_qtap.errors import NotStoredError, StoreError, TooLargeError
from otel_qtap.model.exchange import Part
from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.objectstore.codings import decode
from otel_qtap.objectstore.members import CHUNK_BYTES, Inflater, MemberError, MemberTooLargeError

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

    @property
    def encoding(self) -> str:
        """The content codings of the body, in the order in which they were applied."""
        return self.fields.get("qtap-body-encoding", "")

    def decoded_body(self) -> bytes:
        """The body without its content codings. Raises StoreError for one that is not to be undone."""
        content, complete = decode(self.encoding, self.body, RECORD_LIMIT)
        if not complete:
            raise TooLargeError(f"the decoded body is larger than {RECORD_LIMIT} bytes")
        return content


def read_record(
    store: ObjectStore, key: str, first: int, last: int, *, limit: int | None = None
) -> StoredRecord:
    """The record at exactly this range of an object, of at most ``limit`` bytes. Raises StoreError."""
    limit = limit or RECORD_LIMIT
    length = last - first + 1
    if length > limit:
        raise TooLargeError(f"{store.url}/{key}, bytes {first}-{last}: a range of more than {limit} bytes")
    data = store.get_range(key, first, last)
    if len(data) != length:
        raise NotStoredError(f"{store.url}/{key} ends before byte {last}")
    inflater = Inflater(limit)
    try:
        complete = inflater.feed(data)
        if not complete or inflater.rest:
            raise MemberError("not the range of a whole record")
        return _parse(inflater.content)
    except MemberTooLargeError as error:
        raise TooLargeError(f"{store.url}/{key}, bytes {first}-{last}: {error}") from error
    except MemberError as error:
        raise StoreError(f"{store.url}/{key}, bytes {first}-{last}: {error}", retryable=False) from error


def read_part(store: ObjectStore, key: str, first: int, last: int, part: Part | None) -> StoredRecord:
    """The record at a range, or the other half of its exchange where ``part`` asks for that."""
    record = read_record(store, key, first, last)
    if part is None or record.part is part:
        return record
    return read_other_half(store, key, last, record)


def read_other_half(
    store: ObjectStore, key: str, last: int, record: StoredRecord, *, limit: int | None = None
) -> StoredRecord:
    """The other half of the exchange of ``record``, which ends at byte ``last``. Raises StoreError."""
    if record.part is Part.RESPONSE:
        request_first, _, request_last = record.fields.get("qtap-concurrent-range", "").partition("-")
        if not (_is_number(request_first) and _is_number(request_last)):
            raise NotStoredError("the request of this response was not stored")
        return read_record(store, key, int(request_first), int(request_last), limit=limit)
    following = _read_member(store, key, last + 1, limit or RECORD_LIMIT)
    if following is None or following.fields.get("warc-record-id") != record.fields.get("warc-concurrent-to"):
        raise NotStoredError("the response of this request was not stored")
    return following


def _read_member(store: ObjectStore, key: str, first: int, limit: int) -> StoredRecord | None:
    """The record that begins at ``first``, whose end is not known: read in steps that double."""
    inflater = Inflater(limit)
    step = CHUNK_BYTES
    while data := store.get_range(key, first, first + step - 1):
        try:
            if inflater.feed(data):
                return _parse(inflater.content)
        except MemberTooLargeError as error:
            raise TooLargeError(f"{store.url}/{key}, from byte {first}: {error}") from error
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


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 19
