# SPDX-License-Identifier: Apache-2.0
"""From a payload reference to a place in the configured store, and nowhere else.

A reference is taken only in the form in which the store itself writes it: it begins with the store's
URL, its key has no empty, ``.`` or ``..`` segment, and it is escaped the one way that the store
escapes. What a file system could still do (symbolic links) the store refuses when it opens the file.
"""

from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.objectstore.reader import Reference
from otel_qtap.objectstore.segment import SEALED_SUFFIX
from otel_qtap.viewer.problems import ProblemError

_LONGEST_KEY = 1024
"""Of S3, in bytes."""


class Place(NamedTuple):
    """A range of bytes of an object of the store."""

    key: str
    first: int
    last: int


class Resolver:
    """Resolves references into ``store``."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def resolve(self, uri: str) -> Place:
        """Raises ProblemError: 400 for what is no reference, 403 for one that leads elsewhere."""
        try:
            reference = Reference.parse(uri)
        except ValueError as error:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST,
                "This is not a payload reference",
                f"{str(error).capitalize()}.",
                "Percent-encode the whole reference in the link: from an unescaped '#' on, a browser keeps "
                "it to itself. otel-qtap writes references into qtap.payload.uri and *.content_ref.",
            ) from None
        base = f"{self._store.url}/"
        if not reference.object_url.startswith(base):
            raise _elsewhere("It does not begin with the URL of the store that this viewer reads.")
        escaped = reference.object_url.removeprefix(base)
        for key in (unquote(escaped), escaped):
            if self._store.object_url(key) == reference.object_url and _is_key(key):
                return Place(key, reference.first, reference.last)
        raise _elsewhere("Its path is not one that the store gives to a segment.")


def _is_key(key: str) -> bool:
    """Whether an agent could have given this key to a segment."""
    return (
        key.isprintable()
        and "\\" not in key
        and {"", ".", ".."}.isdisjoint(key.split("/"))
        and key.endswith(SEALED_SUFFIX)
        and len(key.encode()) <= _LONGEST_KEY
    )


def _elsewhere(why: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.FORBIDDEN,
        "This reference leads out of the store",
        why,
        "Give this viewer the agent's OTEL_QTAP_OBJECTS_URL, or open the reference in the viewer of its own "
        "store.",
    )
