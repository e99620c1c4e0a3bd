# SPDX-License-Identifier: Apache-2.0
"""Places in the methods of ``crypto/tls.(*Conn)`` where plaintext can be taken, proven by disassembly.

Go's calling convention (cmd/compile/abi-internal.md) has the receiver in RAX, the slice in RBX, RCX and RDI
and the goroutine in R14. A function begins with a look at the stack's bound and a branch to where it is
grown, after which it begins anew. The branch is emulated by the kernel, and the arguments are whole there:
the *branch site*. A uretprobe would break a stack that moves, so returns are probed at each RET, with
single-stepping.

``Read`` has a place that makes its RETs needless, the *delivery site*: the ``je`` of ``if n != 0`` after the
inlined copy out of the record. There is n in one register and the Conn in another, and the buffer's address
in the stack slot that it was kept in, after the last call that can move the stack.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from otel_qtap.discovery.disassembly import Flow, Instruction, Memory, decode, transfer_targets
from otel_qtap.discovery.sites import emulated

_STACK_POINTER = "rsp"
_GOROUTINE = "r14"
_SCRATCH = "r12"
_STACK_GUARD = 16
"""Of struct g (runtime/runtime2.go): stackguard0."""
_BUFFER = "rbx"
_PROLOGUE_INSTRUCTIONS = 20
_BEFORE_DELIVERY = 10
"""Instructions among which the copy's destination is loaded and memmove is called."""
_PT_REGS = (
    "r15",
    "r14",
    "r13",
    "r12",
    "rbp",
    "rbx",
    "r11",
    "r10",
    "r9",
    "r8",
    "rax",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
)
"""struct pt_regs (arch/x86/include/uapi/asm/ptrace.h), in words."""
_LARGEST_SLOT = 0xFFFF


class Delivery(NamedTuple):
    """Where ``Read`` knows what it delivers. Registers are words of struct pt_regs."""

    where: Instruction
    count_register: int
    conn_register: int
    buffer_slot: int
    """Bytes above the stack pointer."""


def branch_site(code: bytes, start: int) -> Instruction | None:
    """The branch of the stack check that a function begins with, where it has the usual form."""
    jumps, _ = transfer_targets(code, start)
    compared = _STACK_POINTER
    for number, instruction in enumerate(decode(code, start)):
        match instruction.mnemonic, instruction.operands:
            case "lea", (scratch, Memory(base, _, False)) if number == 0:
                if (scratch, base) != (_SCRATCH, _STACK_POINTER):
                    return None
                compared = _SCRATCH
            case "cmp", (left, Memory(base, displacement, False)) if left == compared:
                if (base, displacement) != (_GOROUTINE, _STACK_GUARD):
                    return None
                compared = ""
            case "jbe", _ if not compared and emulated(instruction.code):
                # Whoever has grown the stack goes back to the very start.
                return None if any(start < jump <= instruction.address for jump in jumps) else instruction
            case _:
                return None
    return None


@lru_cache(maxsize=4)
def _decoded(code: bytes, start: int) -> tuple[Instruction, ...]:
    """All instructions of a function, which is asked about more than once."""
    return tuple(decode(code, start))


def returns(code: bytes, start: int) -> tuple[Instruction, ...]:
    """Every return of a function."""
    return tuple(instruction for instruction in _decoded(code, start) if instruction.flow is Flow.RETURN)


def is_whole(code: bytes, start: int) -> bool:
    """Whether all of a function can be decoded, but for the filling behind it."""
    *_, last = _decoded(code, start) or (None,)
    return last is not None and last.address + len(last.code) == start + len(code)


def delivery_site(code: bytes, start: int) -> Delivery | str:
    """The delivery site of ``Read``, or why it has none."""
    instructions = _decoded(code, start)
    slot = _buffer_slot(instructions)
    if slot is None:
        return "the place of its buffer on the stack is not certain"
    found = [at for at in range(len(instructions)) if _is_delivery(instructions, at, slot)]
    if len(found) != 1:
        return f"{len(found)} places look like the delivery of what was read"
    adding = instructions[found[0]]
    testing, where = _following(instructions, found[0])
    conn, count = adding.operands
    assert isinstance(conn, Memory)
    assert isinstance(count, str)
    for at, instruction in enumerate(instructions):
        if instruction.flow is Flow.CALL or instruction.target is None:
            continue
        # Only "nothing was there to deliver" comes another way.
        if adding.address < instruction.target <= where.address and not (
            instruction.target == testing.address and _is_zeroed(instructions, at, count)
        ):
            return "a jump leads into the delivery of what was read"
    return Delivery(where, _PT_REGS.index(count), _PT_REGS.index(conn.base), slot)


def _buffer_slot(instructions: Sequence[Instruction]) -> int | None:
    """The one stack slot that the buffer's address is kept in all the time."""
    stores: dict[int, int] = {}
    for instruction in instructions:
        target = instruction.operands[0] if instruction.operands else ""
        if (
            isinstance(target, Memory)
            and target.base == _STACK_POINTER
            and instruction.mnemonic.startswith("mov")
        ):
            for covered in range(target.displacement, target.displacement + instruction.width):
                stores[covered] = stores.get(covered, 0) + 1
    for instruction in instructions[:_PROLOGUE_INSTRUCTIONS]:
        match instruction.mnemonic, instruction.operands:
            case "mov", (Memory("rsp", displacement, False), "rbx"):
                whole = range(displacement, displacement + 8)
                once = all(stores[covered] == 1 for covered in whole)
                return displacement if once and 0 <= displacement <= _LARGEST_SLOT else None
        if _BUFFER in instruction.writes or instruction.flow not in (Flow.NEXT, Flow.BRANCH):
            return None
    return None


def _is_delivery(instructions: Sequence[Instruction], at: int, slot: int) -> bool:
    """Whether ``add [conn+i], n; test n, n; je`` is here, behind a copy to the buffer."""
    match instructions[at].mnemonic, instructions[at].operands:
        case "add", (Memory(conn, _, False), str(count)) if conn in _PT_REGS and count in _PT_REGS:
            pass
        case _:
            return False
    following = _following(instructions, at)
    if [i.mnemonic for i in following] != ["test", "je"] or following[0].operands != (count, count):
        return False
    before = instructions[max(at - _BEFORE_DELIVERY, 0) : at]
    loads = any(
        i.mnemonic == "mov" and i.operands == ("rax", Memory(_STACK_POINTER, slot, False)) for i in before
    )
    return (
        loads
        and any(i.flow is Flow.CALL for i in before)
        and emulated(following[1].code)
        and {instructions[at].width, following[0].width} == {8}
    )


def _following(instructions: Sequence[Instruction], at: int) -> list[Instruction]:
    return [i for i in instructions[at + 1 : at + 4] if i.mnemonic != "nop"][:2]


def _is_zeroed(instructions: Sequence[Instruction], at: int, register: str) -> bool:
    """Whether a register is zeroed right before a jump."""
    before = [i for i in instructions[max(at - 2, 0) : at] if i.mnemonic != "nop"]
    return bool(before) and before[-1].mnemonic == "xor" and before[-1].operands == (register, register)
