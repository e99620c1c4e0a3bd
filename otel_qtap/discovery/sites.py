# SPDX-License-Identifier: Apache-2.0
"""Where in a function a probe may sit without a single-step trap, proven by disassembly.

The kernel emulates a few instructions (arch/x86/kernel/uprobes.c): a probe there costs 0.5 µs, on
any other about 10 µs. A *pair* site takes the entry and the return probe together: no argument
register was written before it and the stack pointer is still what it was at entry, so the word it
points at is the return address. An *entry* site takes an entry probe only: arguments intact, the
stack pointer may have moved. Where nothing is proven, the *classic* place is the first byte of the
function: always right, and slow.
"""

from otel_qtap.discovery.disassembly import (
    ARGUMENTS,
    STACK_POINTER,
    Flow,
    Instruction,
    decode,
    transfer_targets,
)
from otel_qtap.discovery.elf import MAX_FUNCTION, ElfFile, Function
from otel_qtap.discovery.plan import ProbeSite, SiteKind
from otel_qtap.probes.spec import ProbeFunction

_PROLOGUE = 96
"""Bytes looked at for a site; one further in would be behind a call or a branch anyway."""


def emulated(code: bytes) -> bool:
    """Whether every supported kernel (5.8 on) emulates this instruction.

    ``push r64`` without or with REX.B, direct ``call``, ``jmp`` and ``jcc``, and the one-byte nop.
    Longer nops are emulated by recent kernels only, prefixed forms by none for certain.
    """
    first = code[0]
    if 0x50 <= first <= 0x57 or first in (0xE8, 0xE9, 0xEB, 0x90) or 0x70 <= first <= 0x7F:
        return True
    second = code[1] if len(code) > 1 else 0
    return (first == 0x41 and 0x50 <= second <= 0x57) or (first == 0x0F and 0x80 <= second <= 0x8F)


def probe_site(
    elf: ElfFile, function: Function, probe: ProbeFunction, library_id: int, *, force_classic: bool = False
) -> ProbeSite:
    """The cheapest proven site of one function. Raises ElfError when its code cannot be read."""
    code = elf.code(function.start, function.end)
    found: Instruction | str = "classic sites were asked for"
    kind = SiteKind.CLASSIC
    if not force_classic:
        found, kind = _cheap(code, function, probe)
    if isinstance(found, str):
        first = next(decode(code[:_PROLOGUE], function.start), None)
        where, reason = first, found
    else:
        where, reason = found, ""
    return ProbeSite(
        function=function.name,
        cookie=probe.cookie(library_id),
        file_offset=elf.file_offset(where.address if where else function.start),
        needs_return=probe.needs_return,
        kind=kind,
        instruction=where.text if where else "",
        code=where.code.hex() if where else "",
        reason=reason,
    )


def _cheap(code: bytes, function: Function, probe: ProbeFunction) -> tuple[Instruction | str, SiteKind]:
    """The first emulated instruction of the prologue that qualifies, else why there is none."""
    if len(code) >= MAX_FUNCTION:
        return "the function is too long to be searched for jumps", SiteKind.CLASSIC
    arguments = frozenset(ARGUMENTS[: probe.nargs])
    jumps, _ = transfer_targets(code, function.start)
    stack_moved = False
    for instruction in decode(code[:_PROLOGUE], function.start):
        if any(function.start < jump <= instruction.address for jump in jumps):
            # A second pass through the site would take some other word for the return address.
            return (
                "a jump inside the function leads back before the first cheap instruction",
                SiteKind.CLASSIC,
            )
        if emulated(instruction.code):
            if not stack_moved:
                return instruction, SiteKind.PAIR
            if not probe.needs_return:
                return instruction, SiteKind.ENTRY
            return "the stack pointer moves before the first cheap instruction", SiteKind.CLASSIC
        if instruction.flow is not Flow.NEXT:
            return f"{instruction.mnemonic} comes before any cheap instruction", SiteKind.CLASSIC
        if arguments & instruction.writes:
            return "an argument is overwritten before the first cheap instruction", SiteKind.CLASSIC
        stack_moved = stack_moved or STACK_POINTER in instruction.writes
    return "no cheap instruction in the prologue", SiteKind.CLASSIC
