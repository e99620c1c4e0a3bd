# SPDX-License-Identifier: Apache-2.0
"""Objects in the memory of this process: for tests and trials."""

from pathlib import Path

from otel_qtap.errors import NotStoredError, StoreError
from otel_qtap.objectstore.base import StoredObject


class MemoryStore:
    """A dictionary with the shape of an object store. Nothing is ever evicted."""

    url = "memory:"

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    def keys(self) -> tuple[str, ...]:
        """Keys of all objects, in order of arrival."""
        return tuple(self._objects)

    def object_url(self, key: str) -> str:
        """See ObjectStore."""
        return f"{self.url}/{key}"

    def put(self, key: str, path: Path, size: int) -> StoredObject:
        """See ObjectStore."""
        try:
            with path.open("rb") as file:
                self._objects[key] = file.read(size)
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}", retryable=False) from error
        return StoredObject(key=key)

    def get_range(self, key: str, first: int, last: int) -> bytes:
        """See ObjectStore."""
        content = self._objects.get(key)
        if content is None:
            raise NotStoredError(f"no object {self.url}/{key} in this process")
        return content[first : last + 1]

    def check(self) -> None:
        """See ObjectStore: there is always memory."""
