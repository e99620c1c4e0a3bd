# SPDX-License-Identifier: Apache-2.0
"""OpenSSL: by its symbols, or where it is linked in and stripped, by the names that its error sites pass.

From OpenSSL 3.0 on ``ERR_set_debug(file, line, function)`` (openssl/err.h) is called where a function fails,
so the names of functions are in the data. A function that was inlined passes its own name from inside
others: so whatever passes the name of an inner function is probed as what its arguments show it to be.
"""

from collections.abc import Mapping
from typing import NamedTuple

from otel_qtap.discovery.byte_search import found_in
from otel_qtap.discovery.calls import CallGraph
from otel_qtap.discovery.disassembly import ARGUMENTS
from otel_qtap.discovery.elf import ElfFile, Function
from otel_qtap.discovery.locating import boringssl, by_symbols
from otel_qtap.discovery.locating.boundaries import function_of
from otel_qtap.discovery.locating.liveness import registers_expected
from otel_qtap.discovery.locating.located import Located, refused
from otel_qtap.discovery.locating.openssl_layout import CLIENT_NAMES, SERVER_NAMES, randoms_places
from otel_qtap.discovery.locating.references import Reference, references, strings
from otel_qtap.discovery.plan import Refusal
from otel_qtap.probes.spec import UNKNOWN_LAYOUT, Count, DataPath, ObjectLayout, ProbeFunction, TlsLibrary

_MOST_COPIES = 2
_PLACES = CLIENT_NAMES | SERVER_NAMES
_COUNTED_BY = {4: Count.ARG4, 5: Count.ARG5}
"""By the number of arguments, the last of which is where the count goes."""


class _Passed(NamedTuple):
    """What of the library passes which name, by the names, and where code refers to those of _PLACES."""

    functions: Mapping[str, "_Named"]
    places: tuple[Reference, ...]


class _Named(NamedTuple):
    """The functions that pass one name at their error sites."""

    functions: frozenset[Function]
    is_certain: bool
    """Whether of each place that passes the name the function is known."""


def locate(elf: ElfFile, library: TlsLibrary, public_only: bool) -> Located:
    """A ``Locator``."""
    named = elf.functions(["SSL_read", "SSL_read_ex", "SSL_write"])
    # BoringSSL has no extended forms, and gives some of the other names to functions of its own.
    if "SSL_read_ex" not in named and strings(elf, (boringssl.SOURCE,))[boringssl.SOURCE]:
        return refused(library, "the file holds BoringSSL")
    passed = None if named else _passed(elf, library)
    if passed is None or not passed.functions:
        return by_symbols.locate(elf, library, public_only)
    return _by_names(elf, library, passed)


def _by_names(elf: ElfFile, library: TlsLibrary, passed: _Passed) -> Located:
    names = passed.functions
    refusals: list[Refusal] = []
    chosen: list[tuple[Function, ProbeFunction]] = []
    for path in library.data_paths:
        found = _data_functions(elf, path, names, refusals)
        if not found:
            reasons = "; ".join(f"{refusal.function} {refusal.reason}" for refusal in refusals)
            return refused(library, f"it has no symbols, and {reasons or 'its code passes too few names'}")
        chosen += found
    for probe in library.lifecycle:
        function = _only(names, probe.symbol)
        if function:
            chosen.append((function, probe))
        else:
            refusals.append(Refusal(probe.symbol, "not to be told in this file, which has no symbols"))
    starts = [function.start for function, _ in chosen]
    if len(set(starts)) != len(starts):
        return refused(library, "it has no symbols, and two of its functions look like one")
    layout = UNKNOWN_LAYOUT
    if places := randoms_places(elf, passed.places):
        # Where a write has five arguments (3.3), an object begins with its type, as it does from 3.2 on.
        typed = any(probe.count is Count.ARG5 for _, probe in chosen) or bool(
            found_in(elf.fileno(), elf.data(), [b"OpenSSL 3.2."])
        )
        layout = ObjectLayout(type=0 if typed else None, client_random=places[0], server_random=places[1])
    else:
        refusals.append(Refusal(library.accessors.client_random, "not in this file, nor is its place shown"))
    return Located(functions=tuple(chosen), layout=layout, refusals=tuple(refusals))


def _passed(elf: ElfFile, library: TlsLibrary) -> _Passed:
    """Functions of the library by the names that their error sites pass."""
    names = {probe.symbol for path in library.data_paths for probe in path.public}
    names |= {one.function.symbol for path in library.data_paths for one in path.inner}
    names |= {probe.symbol for probe in library.lifecycle} | _PLACES
    texts = strings(elf, (name.encode() for name in names), whole=True)
    places = {address: text.decode() for text, addresses in texts.items() for address in addresses}
    found: dict[str, _Named] = {}
    hellos = []
    for reference in references(elf, places, "rdx"):
        if places[reference.target] in _PLACES:
            hellos.append(reference)
            continue
        function = function_of(elf, reference.address)
        before = found.get(places[reference.target], _Named(frozenset(), True))
        found[places[reference.target]] = _Named(
            before.functions | ({function} if function else set()), before.is_certain and function is not None
        )
    return _Passed(found, tuple(hellos))


def _only(names: Mapping[str, _Named], symbol: str) -> Function | None:
    """The function of this name, if just one passes it."""
    named = names.get(symbol)
    if named is None or not named.is_certain or len(named.functions) != 1:
        return None
    (function,) = named.functions
    return function._replace(name=symbol)


def _data_functions(
    elf: ElfFile, path: DataPath, names: Mapping[str, _Named], refusals: list[Refusal]
) -> list[tuple[Function, ProbeFunction]]:
    """Whatever has the inner function in it, and the public one if that does not call it."""
    inner = path.inner[0].function
    plain = path.public[0]
    copies = names.get(inner.symbol, _Named(frozenset(), True))
    public = _only(names, plain.symbol)
    others = {one for one in copies.functions if public is None or one.start != public.start}
    if not copies.is_certain or len(others) > _MOST_COPIES:
        refusals.append(Refusal(inner.symbol, "is passed by code of no certain function"))
        return []
    chosen: list[tuple[Function, ProbeFunction]] = []
    for function in sorted(others):
        nargs = _arguments(elf, function)
        if nargs not in _COUNTED_BY:
            refusals.append(Refusal(inner.symbol, f"is passed by a function with {nargs} arguments"))
            return []
        probe = ProbeFunction(
            symbol=inner.symbol,
            hook=inner.hook,
            nargs=nargs,
            needs_return=True,
            count=_COUNTED_BY[nargs],
        )
        chosen.append((function._replace(name=inner.symbol), probe))
    if public and not CallGraph(elf, {}).targets(public) & {function.start for function in others}:
        if not any(one.start == public.start for one in copies.functions):
            refusals.append(Refusal(plain.symbol, f"neither calls {inner.symbol} nor has it inlined"))
            return []
        chosen.append((public, plain))
    return chosen


def _arguments(elf: ElfFile, function: Function) -> int:
    """How many arguments a function reads."""
    expected = registers_expected(elf.code(function.start, function.end), function.start)
    return max((ARGUMENTS.index(register) + 1 for register in expected), default=0)
