# SPDX-License-Identifier: Apache-2.0
"""Where payloads go: standard WARC files, packed from many exchanges, in a store of the user's own.

warc       one exchange as two WARC records, a gzip member each
segment    a WARC file on the local disk, growing or waiting
recovery   the segments that an earlier process left
archive    ClassifiedExchange -> Record: what the data path uses
uploader   sealed segments to the store, until they are there
base       the ObjectStore protocol; memory, filesystem and s3 have its shape; registry finds them by URL
members    gzip members one by one
reader     payload reference -> message
codings    content codings undone, within bounds
"""

from otel_qtap.objectstore.archive import Archive, ArchiveStatistics
from otel_qtap.objectstore.base import ObjectStore, StoredObject
from otel_qtap.objectstore.registry import open_store
from otel_qtap.objectstore.uploader import UploaderStatistics

__all__ = ["Archive", "ArchiveStatistics", "ObjectStore", "StoredObject", "UploaderStatistics", "open_store"]
