# SPDX-License-Identifier: Apache-2.0
"""NSS's methods of TLS descriptors, which no symbol names.

``libssl3.so`` holds two tables of twelve methods next to each other, for plain and for TLS descriptors:
connect, accept, bind, listen, shutdown, close, recv, send, read, write, getpeername, getsockname. They have
bind, listen and the last two in common, and accept is none. In the one for TLS, read passes its call on to
recv and write to send. The dynamic linker fills the tables in, so its relocations tell them.
"""

from contextlib import suppress

from otel_qtap.discovery.calls import CallGraph
from otel_qtap.discovery.disassembly import Flow, decode
from otel_qtap.discovery.elf import ElfFile, Function
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.by_symbols import locate_with
from otel_qtap.discovery.locating.located import Located, refused
from otel_qtap.discovery.relocations import relative_pointers
from otel_qtap.probes.nss import CLOSE, HANDSHAKE, RECEIVE, SEND
from otel_qtap.probes.spec import TlsLibrary

_ACCEPT, _CLOSE, _RECV, _SEND, _READ, _WRITE = 1, 5, 6, 7, 8, 9
_SHARED = (2, 3, 10, 11)
_METHODS = 12
_FORCE_HANDSHAKE = "SSL_ForceHandshake"
_POINTER = 8

_Table = tuple[int | None, ...]


def locate(elf: ElfFile, library: TlsLibrary, public_only: bool) -> Located:
    """A ``Locator``."""
    graph = CallGraph(elf, {})
    found = {
        (table[_RECV], table[_SEND], table[_CLOSE])
        for table in _tables(relative_pointers(elf))
        if _passes_on(elf, graph, table[_READ], table[_RECV])
        and _passes_on(elf, graph, table[_WRITE], table[_SEND])
    }
    if len(found) != 1:
        return refused(library, f"{len(found)} tables, not one, look like the methods of TLS descriptors")
    (methods,) = found
    functions = {
        probe.symbol: elf.function_at(probe.symbol, start)
        for probe, start in zip((RECEIVE, SEND, CLOSE), methods, strict=True)
        if start is not None
    }
    if handshake := _handshake(elf, graph, [functions[RECEIVE.symbol], functions[SEND.symbol]]):
        functions[HANDSHAKE.symbol] = handshake
    return locate_with(elf, library, public_only, functions)


def _handshake(elf: ElfFile, graph: CallGraph, callers: list[Function]) -> Function | None:
    """The function that all three go on with a handshake by: it calls what the object says comes next."""
    public = elf.functions([_FORCE_HANDSHAKE])
    if not public:
        return None
    called = frozenset.intersection(*(graph.targets(caller) for caller in (*callers, *public.values())))
    found = []
    for start in called:
        with suppress(ElfError):  # stubs of imported functions have no unwind entry of their own
            function = elf.function_at(HANDSHAKE.symbol, start)
            code = decode(elf.code(start, function.end), start)
            if any(step.flow is Flow.CALL and step.target is None for step in code):
                found.append(function)
    return found[0] if len(found) == 1 else None


def _tables(pointers: dict[int, int]) -> list[_Table]:
    """Both tables of every pair that looks like plain and TLS descriptors' methods."""
    found = []
    for place in pointers:
        pair = [
            tuple(pointers.get(place + _POINTER * (index + _METHODS * table)) for index in range(_METHODS))
            for table in range(2)
        ]
        one, other = pair
        if (
            one[_ACCEPT] is None
            and other[_ACCEPT] is None
            and all(one[index] is not None and one[index] == other[index] for index in _SHARED)
            and None not in (*one[4:10], *other[4:10])
            and one[_RECV] != other[_RECV]
            and one[_SEND] != other[_SEND]
        ):
            found += pair
    return found


def _passes_on(elf: ElfFile, graph: CallGraph, start: int | None, target: int | None) -> bool:
    if start is None or target is None:
        return False
    try:
        return target in graph.targets(elf.function_at("", start))
    except ElfError:
        return False
