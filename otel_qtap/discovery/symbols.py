# SPDX-License-Identifier: Apache-2.0
"""Names of functions in an ELF file (System V gABI 4.1, symbol table), which may be hostile."""

import struct
from array import array
from collections.abc import Iterable, Iterator

from otel_qtap.discovery.errors import ElfError

_STT_FUNC = 2
_MAX_NAME_MATCHES = 512


class SymbolTable:
    """One symbol table: names are found in the string table, then by offset in the st_name column."""

    def __init__(self, table: bytes, strings: bytes) -> None:
        self.table = table[: len(table) // 24 * 24]
        self.strings = strings
        self._names = array("I", memoryview(self.table).cast("I")[::6])
        self._matches_left = _MAX_NAME_MATCHES

    def find(self, names: Iterable[str]) -> dict[str, set[tuple[int, int]]]:
        """(address, size) of each function defined under these names, by name: those that there are.

        One pass over the table for all of them, however often its strings repeat them.
        """
        wanted = {at: name for name in names for at in self._places(name)}
        found: dict[str, set[tuple[int, int]]] = {}
        for index in [index for index, at in enumerate(self._names) if at in wanted] if wanted else ():
            at, info, _, section, address, size = struct.unpack_from("<IBBHQQ", self.table, 24 * index)
            if info & 15 == _STT_FUNC and section and address:
                found.setdefault(wanted[at], set()).add((address, size))
        return found

    def _places(self, name: str) -> Iterator[int]:
        """Where in the strings this name is."""
        key = name.encode() + b"\0"
        at = self.strings.find(key)
        while at >= 0:
            self._matches_left -= 1
            if self._matches_left < 0:
                raise ElfError("its string table repeats names without end")
            # The linker lets "read" point into "SSL_read", so a match may start inside another name.
            yield at
            at = self.strings.find(key, at + 1)

    def name(self, index: int) -> str:
        """Name of the symbol with this index; empty when there is none."""
        if not 0 <= index < len(self._names):
            return ""
        at = self._names[index]
        end = self.strings.find(b"\0", at)
        return self.strings[at:end].decode("ascii", "replace") if at < len(self.strings) and end >= 0 else ""

    def addresses(self) -> list[int]:
        """Sorted addresses of all defined functions."""
        return sorted(
            address
            for _, info, _, section, address, _ in struct.iter_unpack("<IBBHQQ", self.table)
            if info & 15 == _STT_FUNC and section and address
        )
