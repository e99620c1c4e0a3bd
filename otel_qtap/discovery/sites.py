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

NO_SITE = "the kernel takes no probe on its first instruction"
_UNKNOWN_PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0xF0))
"""ES, CS, SS, DS and LOCK."""
_PREFIXES = frozenset((0x64, 0x65, 0x66, 0x67, 0xF2, 0xF3))
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


def refused_by_kernel(code: bytes) -> bool:
    """Whether no kernel puts a probe on this instruction: it has a prefix that uprobes do not know.

    Some assemblers pad with such prefixes (-mbranches-within-32B-boundaries). Attaching need not fail: the
    probe is left out when a process maps the file (is_prefix_bad in arch/x86/kernel/uprobes.c).
    """
    for byte in code:
        if byte in _UNKNOWN_PREFIXES:
            return True
        if byte not in _PREFIXES:
            return False
    return False


def probe_site(
    elf: ElfFile, function: Function, probe: ProbeFunction, cookie: int, *, force_classic: bool = False
) -> ProbeSite | None:
    """The cheapest proven site of one function, None where it has none.

    Raises ElfError when its code cannot be read.
    """
    code = elf.code(function.start, function.end)
    kind, where, reason = SiteKind.CLASSIC, None, "classic sites were asked for"
    if not force_classic:
        kind, where, reason = _cheap(code, function, probe)
    if where is None:
        where = next(decode(code[:_PROLOGUE], function.start), None)
    if where and refused_by_kernel(where.code):
        return None
    return ProbeSite(
        function=function.name,
        cookie=cookie,
        file_offset=elf.file_offset(where.address if where else function.start),
        needs_return=probe.needs_return,
        kind=kind,
        instruction=where.text if where else "",
        reason=reason,
    )


def _cheap(code: bytes, function: Function, probe: ProbeFunction) -> tuple[SiteKind, Instruction | None, str]:
    """The first emulated instruction of the prologue that qualifies, else why there is none."""
    if len(code) >= MAX_FUNCTION:
        return SiteKind.CLASSIC, None, "the function is too long to be searched for jumps"
    arguments = frozenset(ARGUMENTS[: probe.nargs])
    jumps, _ = transfer_targets(code, function.start)
    stack_moved = False
    for instruction in decode(code[:_PROLOGUE], function.start):
        if any(function.start < jump <= instruction.address for jump in jumps):
            # A second pass through the site would take some other word for the return address.
            return SiteKind.CLASSIC, None, "a jump leads back before the first cheap instruction"
        if emulated(instruction.code):
            if not stack_moved:
                return SiteKind.PAIR, instruction, ""
            if not probe.needs_return:
                return SiteKind.ENTRY, instruction, ""
            return SiteKind.CLASSIC, None, "the stack pointer moves before the first cheap instruction"
        if instruction.flow is not Flow.NEXT:
            return SiteKind.CLASSIC, None, f"{instruction.mnemonic} comes before any cheap instruction"
        if arguments & instruction.writes:
            return SiteKind.CLASSIC, None, "an argument is overwritten before the first cheap instruction"
        stack_moved = stack_moved or STACK_POINTER in instruction.writes
    return SiteKind.CLASSIC, None, "no cheap instruction in the prologue"
