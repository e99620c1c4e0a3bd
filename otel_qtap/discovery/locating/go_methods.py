# SPDX-License-Identifier: Apache-2.0
"""Methods of Go's crypto/tls by the runtime's table of functions; their sites by the rules of Go's code."""

from otel_qtap.discovery.disassembly import Instruction, decode
from otel_qtap.discovery.elf import MAX_FUNCTION, ElfFile, Function
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.golang.buildinfo import go_version
from otel_qtap.discovery.golang.conn_sites import (
    Delivery,
    branch_site,
    delivery_site,
    is_whole,
    returns,
)
from otel_qtap.discovery.golang.image import GoImage
from otel_qtap.discovery.golang.moduledata import text_start
from otel_qtap.discovery.golang.pclntab import FunctionTable, find_pclntab
from otel_qtap.discovery.locating.located import Located, refused
from otel_qtap.discovery.plan import ProbeSite, Refusal, SiteKind
from otel_qtap.probes.golang import HANDSHAKES, READ, WRITE
from otel_qtap.probes.spec import Hook, TlsLibrary, go_cookie

_MAX_RETURNS = 64
_FIRST_BYTE = "first bytes and all returns were asked for"


class _Method:
    """The code of one method, and sites in it."""

    def __init__(self, elf: ElfFile, function: Function, library_id: int) -> None:
        if function.end - function.start > MAX_FUNCTION:
            raise ElfError(f"{function.name} is too long")
        self.name = function.name
        self.start = function.start
        self.code = elf.code(function.start, function.end)
        self._elf = elf
        self._library = library_id
        if not is_whole(self.code, self.start):
            raise ElfError(f"{self.name} cannot be decoded as a whole")

    def branch(self) -> Instruction | None:
        return branch_site(self.code, self.start)

    def site(self, where: Instruction, kind: SiteKind, reason: str, cookie: int) -> ProbeSite:
        return ProbeSite(
            function=self.name,
            cookie=cookie,
            file_offset=self._elf.file_offset(where.address),
            needs_return=False,
            kind=kind,
            instruction=where.text,
            reason=reason,
        )

    def at_branch(self, where: Instruction, hook: Hook) -> ProbeSite:
        return self.site(where, SiteKind.ENTRY, "", go_cookie(hook, self._library, at_branch=True))

    def at_delivery(self, delivery: Delivery) -> ProbeSite:
        cookie = go_cookie(
            Hook.GO_READ,
            self._library,
            count=delivery.count_register,
            conn=delivery.conn_register,
            slot=delivery.buffer_slot,
        )
        return self.site(delivery.where, SiteKind.ENTRY, "", cookie)

    def from_entry_to_returns(self, hook: Hook, reason: str, *, first_byte: bool = False) -> list[ProbeSite]:
        """Its entry and every return, which takes a single step."""
        found = returns(self.code, self.start)
        if not 0 < len(found) <= _MAX_RETURNS:
            raise ElfError(f"{self.name} has {len(found)} returns")
        branch = None if first_byte else self.branch()
        if branch:
            entry = self.at_branch(branch, Hook.GO_CALL)
        else:
            first = next(decode(self.code, self.start))
            entry = self.site(first, SiteKind.CLASSIC, reason, go_cookie(Hook.GO_CALL, self._library))
        cookie = go_cookie(hook, self._library)
        return [entry, *(self.site(where, SiteKind.CLASSIC, reason, cookie) for where in found)]


def locate(elf: ElfFile, library: TlsLibrary, public_only: bool) -> Located:
    """A ``Locator``: one cheap site each in ``Read`` and ``Write`` where proven, else entries and returns.

    ``public_only``: first bytes and all returns, as other tracers do it.
    """
    image = GoImage(elf)
    tables = find_pclntab(image)
    functions = FunctionTable(image, tables, text_start(image, tables)).functions((READ, WRITE, *HANDSHAKES))
    missing = [name for name in (READ, WRITE) if name not in functions]
    if missing:
        return refused(library, f"its table of Go functions has no {' and no '.join(missing)}")
    methods = {name: _Method(elf, function, library.library_id) for name, function in functions.items()}
    reading, writing = methods[READ], methods[WRITE]
    branch = writing.branch()
    if branch is None or reading.branch() is None:
        # Up to Go 1.16 arguments are on the stack, and the goroutine in another place.
        return refused(library, "its functions do not begin as those of Go 1.17 and later do")
    sites: list[ProbeSite] = []
    refusals: list[Refusal] = []
    for name in HANDSHAKES:
        if name in methods:
            sites += methods[name].from_entry_to_returns(Hook.GO_HANDSHAKE_RETURN, "", first_byte=public_only)
        else:
            refusals.append(Refusal(name, "not in this file"))
    delivery = delivery_site(reading.code, reading.start)
    if public_only:
        sites += reading.from_entry_to_returns(Hook.GO_READ_RETURN, _FIRST_BYTE, first_byte=True)
    elif isinstance(delivery, Delivery):
        sites.append(reading.at_delivery(delivery))
    else:
        sites += reading.from_entry_to_returns(Hook.GO_READ_RETURN, delivery)
    if public_only:
        sites += writing.from_entry_to_returns(Hook.GO_WRITE_RETURN, _FIRST_BYTE, first_byte=True)
    else:
        sites.append(writing.at_branch(branch, Hook.GO_WRITE))
    return Located(sites=tuple(sites), refusals=tuple(refusals), release=go_version(image))
