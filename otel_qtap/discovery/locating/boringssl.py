# SPDX-License-Identifier: Apache-2.0
"""BoringSSL, which is always linked in: by its symbols, or in stripped files by its own error sites.

In ssl_lib.cc only two functions fail both as UNINITIALIZED and as SSL_HANDSHAKE_FAILURE: ssl_read_impl
and, further down, SSL_write. Between the two are SSL_read and SSL_peek; both have a guard of their own
against use with QUIC, or SSL_peek has it for both. SSL_read alone takes what it read out of the object.
"""

import re
import struct
from dataclasses import replace

from otel_qtap.discovery.calls import CallGraph
from otel_qtap.discovery.disassembly import STACK_POINTER, Memory, decode
from otel_qtap.discovery.elf import ElfFile, Function
from otel_qtap.discovery.locating import by_symbols
from otel_qtap.discovery.locating.boringssl_layout import CLIENT_SOURCE, SERVER_SOURCE, randoms_layout
from otel_qtap.discovery.locating.boundaries import function_of
from otel_qtap.discovery.locating.error_sites import ErrorSite, error_sites
from otel_qtap.discovery.locating.located import Located, refused
from otel_qtap.discovery.locating.references import Reference, references, strings
from otel_qtap.discovery.plan import Refusal
from otel_qtap.probes.spec import ObjectLayout, TlsLibrary

SOURCE = b"ssl/ssl_lib.cc"
"""The file of those functions, as error sites tell it; OpenSSL's has another suffix."""

# openssl/ssl.h: SSL_R_UNINITIALIZED, SSL_R_SSL_HANDSHAKE_FAILURE, ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED.
_UNINITIALIZED, _HANDSHAKE_FAILURE, _WRONG_CALL = 226, 215, 66
_LONGEST_READ = 1024
_SAME_SOURCE = 64 << 10
_CALL = re.compile(rb"[\xe8\xe9](?=.{4})", re.DOTALL)
_FRAME = frozenset({STACK_POINTER, "rbp", "rip", ""})


class _UncertainError(Exception):
    """The message says what is not certain."""


def locate(elf: ElfFile, library: TlsLibrary, public_only: bool) -> Located:
    """A ``Locator``."""
    source, client, server = strings(elf, (SOURCE, CLIENT_SOURCE, SERVER_SOURCE)).values()
    if not source:
        return refused(library, f"the file does not name {SOURCE.decode()}")
    named = elf.functions(["SSL_read", "SSL_write"])
    if len(named) == 2:
        found = by_symbols.locate(elf, library, public_only)
        if found.layout.client_random is not None:
            return found
        # Linkers drop what nobody calls, and so the accessors.
        sites = references(elf, client | server, "rcx")
    else:
        sites = references(elf, source | client | server, "rcx")
        try:
            named = _read_and_write(elf, [one for one in sites if one.target in source])
        except _UncertainError as error:
            return refused(library, f"it has no symbols, and its error sites do not tell: {error}")
        probes = (probe for path in library.data_paths for probe in path.public if probe.symbol in named)
        found = Located(functions=tuple((named[probe.symbol], probe) for probe in probes))
    layout = randoms_layout(
        elf,
        named["SSL_read"],
        [one for one in sites if one.target in client],
        [one for one in sites if one.target in server],
    )
    return _with_randoms(found, library, layout)


def _with_randoms(found: Located, library: TlsLibrary, layout: ObjectLayout | None) -> Located:
    accessors = (library.accessors.client_random, library.accessors.server_random)
    others = tuple(refusal for refusal in found.refusals if refusal.function not in accessors)
    if layout is None:
        unknown = Refusal(library.accessors.client_random, "not in this file, nor is its place shown")
        return found._replace(refusals=(*others, unknown))
    known = replace(layout, role=found.layout.role, role_mask=found.layout.role_mask)
    return found._replace(layout=known, refusals=others)


def _read_and_write(elf: ElfFile, references: list[Reference]) -> dict[str, Function]:
    sites = error_sites(elf, references, frozenset({_UNINITIALIZED, _HANDSHAKE_FAILURE, _WRONG_CALL}))
    first_lines: dict[Function, int] = {}
    for site in sites:
        if site.reason == _UNINITIALIZED and any(
            other.function == site.function and other.reason == _HANDSHAKE_FAILURE for other in sites
        ):
            first_lines[site.function] = min(site.line, first_lines.get(site.function, site.line))
    if len(first_lines) != 2:
        raise _UncertainError(f"{len(first_lines)} functions look like SSL_write or what SSL_read calls")
    (implementation, first), (write, last) = sorted(first_lines.items(), key=lambda item: item[1])
    read = _read(elf, sites, implementation, write, range(first + 1, last))
    if read in (implementation, write):
        raise _UncertainError("two of its functions are one")
    return {"SSL_read": read._replace(name="SSL_read"), "SSL_write": write._replace(name="SSL_write")}


def _read(
    elf: ElfFile, sites: list[ErrorSite], implementation: Function, write: Function, lines: range
) -> Function:
    graph = CallGraph(elf, {})
    guarded = {
        site.function
        for site in sites
        if site.reason == _WRONG_CALL and site.line in lines and site.function not in (implementation, write)
    }
    if len(guarded) > 2:
        raise _UncertainError(f"{len(guarded)} functions look like SSL_read or SSL_peek")
    ways_in = {implementation.start, *(function.start for function in guarded)}
    consuming = {function for function in guarded if _stores(elf, function)}
    if not consuming and len(guarded) == 1:
        # The guard is in SSL_peek alone, which SSL_read calls.
        (peek,) = guarded
        consuming = {function for function in _callers(elf, peek) if _stores(elf, function)}
    reads = [one for one in consuming if graph.targets(one) & (ways_in - {one.start})]
    if len(reads) != 1:
        raise _UncertainError(f"{len(reads)} functions look like SSL_read")
    return reads[0]


def _callers(elf: ElfFile, callee: Function) -> set[Function]:
    """Functions nearby, as of one source file, that call or jump to this one."""
    start, end = elf.code_around(callee.start, _SAME_SOURCE)
    code = elf.code(start, end)
    found = set()
    for match in _CALL.finditer(code):
        at = match.start()
        if start + at + 5 + struct.unpack_from("<i", code, at + 1)[0] == callee.start:
            caller = function_of(elf, start + at)
            if caller and caller != callee and caller.end - caller.start <= _LONGEST_READ:
                found.add(caller)
    return found


def _stores(elf: ElfFile, function: Function) -> bool:
    """Whether it writes through a pointer other than its own frame's."""
    return any(
        step.operands
        and isinstance(step.operands[0], Memory)
        and step.operands[0].base not in _FRAME
        and (step.mnemonic.startswith("mov") or step.mnemonic in ("add", "sub"))
        for step in decode(elf.code(function.start, function.end), function.start)
    )
