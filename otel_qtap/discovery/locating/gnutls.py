# SPDX-License-Identifier: Apache-2.0
"""GnuTLS's receiving function, which no symbol names.

``gnutls_record_recv_seq`` and ``gnutls_record_recv`` both pass their call on to it, and say that they want
application data: 0x17 in the second argument.
"""

from otel_qtap.discovery.calls import CallGraph
from otel_qtap.discovery.disassembly import Flow, decode
from otel_qtap.discovery.elf import ElfFile, Function
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.by_symbols import locate_with
from otel_qtap.discovery.locating.located import Located, refused
from otel_qtap.probes.gnutls import RECEIVE, SEND
from otel_qtap.probes.spec import TlsLibrary

_APPLICATION_DATA = 0x17
_RECEIVERS = ("gnutls_record_recv_seq", "gnutls_record_recv")


def locate(elf: ElfFile, library: TlsLibrary, public_only: bool) -> Located:
    """A ``Locator``. Both directions are captured or none is."""
    public = elf.functions((*_RECEIVERS, SEND.symbol))
    missing = [name for name in (*_RECEIVERS, SEND.symbol) if name not in public]
    if missing:
        return refused(library, f"the file does not define {', '.join(missing)}")
    candidates = frozenset.intersection(*(_asked_for_data(elf, public[name]) for name in _RECEIVERS))
    candidates -= {function.start for function in public.values()}
    if len(candidates) != 1:
        return refused(
            library,
            f"{len(candidates)} functions, not one, receive application data for {' and '.join(_RECEIVERS)}",
        )
    (start,) = candidates
    if start in CallGraph(elf, public).targets(public[SEND.symbol]):
        return refused(library, f"what seems to receive is called by {SEND.symbol}, too")
    receive = elf.function_at(RECEIVE.symbol, start)
    return locate_with(elf, library, public_only, {RECEIVE.symbol: receive})


def _asked_for_data(elf: ElfFile, function: Function) -> frozenset[int]:
    """What a function calls or jumps to with the constant 0x17 as second argument."""
    found = set()
    wanted: object = None
    for instruction in decode(elf.code(function.start, function.end), function.start):
        if instruction.flow is Flow.NEXT:
            if "rsi" in instruction.writes:
                wanted = instruction.operands[1] if instruction.mnemonic == "mov" else None
            continue
        if (
            instruction.flow in (Flow.CALL, Flow.JUMP)
            and instruction.target is not None
            and not function.start <= instruction.target < function.end
            and wanted == _APPLICATION_DATA
        ):
            try:
                elf.file_offset(instruction.target)
            except ElfError:
                continue
            found.add(instruction.target)
        if instruction.flow is not Flow.BRANCH:
            wanted = None
    return frozenset(found)
