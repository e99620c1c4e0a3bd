# SPDX-License-Identifier: Apache-2.0
"""From a place in the store to both halves of an exchange, a few at a time and each of bounded size."""

from dataclasses import dataclass
from http import HTTPStatus
from threading import BoundedSemaphore

from otel_qtap.errors import NotStoredError, StoreError
from otel_qtap.model.exchange import Part
from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.objectstore.reader import StoredRecord, read_other_half, read_record
from otel_qtap.viewer.problems import ProblemError, of_store
from otel_qtap.viewer.resolving import Place

LARGEST_RECORD = 64 << 20
"""Bytes of a record that is read into memory; the command ``payload get`` takes any."""
READS_AT_ONCE = 4
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExchange:
    """The halves that are in the store; ``named`` is the one that the reference names."""

    named: Part
    halves: dict[Part, StoredRecord]
    absent: dict[Part, str]
    """Why a half is not among them."""


class ExchangeReader:
    """Reads exchanges from ``store``."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._places = BoundedSemaphore(READS_AT_ONCE)

    def exchange(self, place: Place) -> StoredExchange:
        """The record at ``place`` and the other half, where it was stored. Raises ProblemError."""
        record = self._read(place)
        other = Part.RESPONSE if record.part is Part.REQUEST else Part.REQUEST
        halves, absent = {record.part: record}, {}
        try:
            with self._places:
                halves[other] = read_other_half(
                    self._store, place.key, place.last, record, limit=LARGEST_RECORD
                )
        except NotStoredError:
            absent[other] = f"The {other} of this exchange was not stored."
        except StoreError as error:
            absent[other] = f"{of_store(error).what}: {error}."
        return StoredExchange(named=record.part, halves=halves, absent=absent)

    def half(self, place: Place, part: Part | None) -> StoredRecord:
        """The record at ``place``, or the other half where ``part`` asks for that. Raises ProblemError."""
        record = self._read(place)
        if part is None or record.part is part:
            return record
        try:
            with self._places:
                return read_other_half(self._store, place.key, place.last, record, limit=LARGEST_RECORD)
        except StoreError as error:
            raise of_store(error) from error

    def _read(self, place: Place) -> StoredRecord:
        if not self._places.acquire(timeout=_PATIENCE_SECONDS):
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The viewer is busy",
                "Too many payloads are being read at once.",
                "Try again in a while.",
                headers=(("Retry-After", "10"),),
            )
        try:
            return read_record(self._store, place.key, place.first, place.last, limit=LARGEST_RECORD)
        except StoreError as error:
            raise of_store(error) from error
        finally:
            self._places.release()
