# SPDX-License-Identifier: Apache-2.0
"""From a URL to the store that it names."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from otel_qtap.errors import SettingsError
from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.objectstore.filesystem import FilesystemStore
from otel_qtap.objectstore.memory import MemoryStore
from otel_qtap.objectstore.own_requests import OwnRequests
from otel_qtap.objectstore.s3 import S3Store

_BUCKET_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
SHAPES = "file:///absolute/directory, s3://bucket/prefix, memory: or none:"


def open_store(
    url: str,
    *,
    root: Path | None = None,
    sse: str = "none",
    sse_kms_key_id: str = "",
    tags: Mapping[str, str] | None = None,
) -> ObjectStore | None:
    """The store of a URL; None for ``none:``, which captures metadata only.

    ``root`` is where the directory of a ``file:`` URL is opened, when not at its own path. The
    other options concern S3 only. Raises SettingsError.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "file" if rest.startswith("///"):
            return FilesystemStore(url, root)
        case "s3" if (location := _bucket_and_key(url)) is not None:
            bucket, prefix = location
            return S3Store(bucket, prefix, sse=sse, sse_kms_key_id=sse_kms_key_id, tags=tags)
        case "memory" if not rest:
            return MemoryStore()
        case "none" if not rest:
            return None
    raise SettingsError(f"OTEL_QTAP_OBJECTS_URL={url}: no object store has this shape; set it to {SHAPES}")


def own_requests(store: ObjectStore | None) -> OwnRequests | None:
    """How requests to the store are known where they are observed; None where nothing is sent to it."""
    return store.own_requests if isinstance(store, S3Store) else None


def locate(url: str) -> tuple[ObjectStore, str]:
    """A store that holds the object of this URL (a reference without its fragment), and its key there.

    Raises ValueError where the URL does not name an object that another process could have stored.
    """
    if url.startswith("file:///") and not url.endswith("/"):
        directory, _, name = url.rpartition("/")
        return FilesystemStore(directory), unquote(name)
    location = _bucket_and_key(url)
    if location is not None and location[1]:
        return S3Store(location[0]), location[1]
    raise ValueError(f"{url} names no object of a file:/// or s3:// store")


def _bucket_and_key(url: str) -> tuple[str, str] | None:
    """The parts of an ``s3://`` URL. Keys are taken as they are: S3 URLs are not percent-encoded."""
    if not url.startswith("s3://"):
        return None
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not bucket or not set(bucket) <= _BUCKET_CHARACTERS:
        return None
    return bucket, key
