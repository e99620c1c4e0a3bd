# SPDX-License-Identifier: Apache-2.0
"""Which TLS libraries a file may hold, told cheaply: by names, by marker strings, without a disassembly.

A small library takes a tenth of a millisecond. What the names of its symbols do not tell is looked for in its
data, and there first for words that every implementation of TLS has: most files have none, and that is all.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from otel_qtap.discovery.byte_search import found_in
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.probes.registry import LIBRARIES
from otel_qtap.probes.spec import Signs, TlsLibrary
from otel_qtap.probes.unsupported import UNKNOWN, UNSUPPORTED

_WORDS = (b"CLIENT_RANDOM", b"master secret", b"c hs traffic")
"""Labels of a key log (RFC 9850) and of key derivations (RFC 5246, section 8.1; RFC 8446, section 7.1)."""


class Recognition(NamedTuple):
    """What a file may hold, by name. Neither: it has nothing to do with TLS, or calls a library for it."""

    libraries: tuple[str, ...] = ()
    """Of ``probes.registry``: candidates, which an analysis proves or refuses."""
    unsupported: tuple[str, ...] = ()
    """Of ``probes.unsupported``."""


def known_only(libraries: Iterable[str], unsupported: Iterable[str]) -> Recognition:
    """A recognition of these names, as far as there are such: another process says them."""
    return Recognition(
        tuple(library.name for library in LIBRARIES if library.name in libraries),
        tuple(entry.name for entry in (*UNSUPPORTED, UNKNOWN) if entry.name in unsupported),
    )


def recognise(elf: ElfFile, libraries: tuple[TlsLibrary, ...] = LIBRARIES) -> Recognition:
    """What an open file may hold. Raises ElfError when it cannot be read."""
    signs = [(library.name, library.signs) for library in libraries]
    signs += [(entry.name, entry.signs) for entry in UNSUPPORTED]
    named = _defined(elf, (group for _, one in signs for group in one.symbols))
    data = elf.data()
    has_words = bool(found_in(elf.fileno(), data, _WORDS, enough=1))
    strings: set[bytes] = set()
    if has_words or named:
        strings = found_in(elf.fileno(), data, (text for _, one in signs for text in one.strings))
    seen = {name for name, one in signs if _has(one, named, strings)}
    seen -= {name for name, one in signs if seen.intersection(one.unless)}
    if has_words and not seen:
        seen.add(UNKNOWN.name)
    return Recognition(
        tuple(library.name for library in libraries if library.name in seen),
        tuple(entry.name for entry in (*UNSUPPORTED, UNKNOWN) if entry.name in seen),
    )


def _has(signs: Signs, named: set[tuple[str, ...]], strings: set[bytes]) -> bool:
    return any(group in named for group in signs.symbols) or any(text in strings for text in signs.strings)


def _defined(elf: ElfFile, groups: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Groups of functions that the file defines, all of each."""
    left = set(groups)
    defined: set[tuple[str, ...]] = set()
    for exported, extent in elf.symbol_names():
        wanted = {name: name.encode() + b"\0" for group in left for name in group}
        found = found_in(elf.fileno(), (extent,), wanted.values())
        # The table of symbols, which may be large, is read for what there is a name of only.
        named = [group for group in left if all(wanted[name] in found for name in group)]
        if not named:
            continue
        with suppress(ElfError):  # it is too large or damaged: what else there is has to tell
            there = elf.defined({name for group in named for name in group}, exported=exported)
            defined.update(group for group in named if there.issuperset(group))
        left -= defined
    return defined
