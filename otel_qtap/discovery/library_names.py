# SPDX-License-Identifier: Apache-2.0
"""Which files are TLS libraries by their names alone."""

from otel_qtap.probes.spec import TlsLibrary


class LibraryNames:
    """The names of TLS libraries, and the paths that the user named, as the processes see them."""

    def __init__(self, libraries: tuple[TlsLibrary, ...], named: tuple[str, ...] = ()) -> None:
        self._libraries = libraries
        self._named = frozenset(named)

    def __contains__(self, path: str) -> bool:
        return path in self._named or bool(self.library(path))

    def are_the_users(self, path: str) -> bool:
        """Whether the user named this path."""
        return path in self._named

    def library(self, path: str) -> str:
        """The name of the library that a file's name tells, of several the one with the longest marks; empty
        when it tells none."""
        name = path.rpartition("/")[2]
        told = (
            one for one in self._libraries if one.path_marks and all(mark in name for mark in one.path_marks)
        )
        found = max(told, key=lambda one: sum(map(len, one.path_marks)), default=None)
        return found.name if found else ""
