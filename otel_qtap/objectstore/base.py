# SPDX-License-Identifier: Apache-2.0
"""What every object store can do. A new kind is one module of this shape and one arm in ``registry``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What a store says of an object that it took; for the attributes of the upload's span."""

    key: str
    """Whole key in the bucket, prefix included; for a directory the path below it."""
    bucket: str = ""
    request_id: str = ""
    region: str = ""


class ObjectStore(Protocol):
    """Keeps immutable objects under keys. Safe to use from several threads."""

    @property
    def url(self) -> str:
        """The store's URL without a trailing slash."""
        ...

    def object_url(self, key: str) -> str:
        """The URL of an object: ``<url>/<key>``, escaped as the URL's scheme wants it."""
        ...

    def put(self, key: str, path: Path, size: int) -> StoredObject:
        """Store the ``size`` bytes of the local file as one object: all of it or nothing.

        The file may be gone afterwards: a store on the same filesystem takes it as it is.
        Raises StoreError; ``retryable`` is false where only a human can help.
        """
        ...

    def get_range(self, key: str, first: int, last: int) -> bytes:
        """Bytes ``first`` to ``last``, both included; fewer, or none, where the object ends before.

        Raises StoreError: not retryable where there is no such object.
        """
        ...

    def check(self) -> None:
        """Raise StoreError, with the fix in it, unless the store can be reached and written."""
        ...
