# SPDX-License-Identifier: Apache-2.0
"""Machine code as facts: the only module that knows capstone.

Importing it costs 60 ms and some megabytes, so import it only when a file must be analysed.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

from capstone import CS_ARCH_X86, CS_GRP_CALL, CS_GRP_JUMP, CS_GRP_RET, CS_MODE_64, Cs
from capstone.x86 import X86_OP_IMM, X86_OP_MEM, X86_OP_REG

STACK_POINTER = "rsp"
ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
"""Argument registers in order (System V AMD64 ABI 3.2.3)."""

_FULL_NAME = {
    alias: full
    for full, aliases in {
        "rax": ("eax", "ax", "al", "ah"),
        "rbx": ("ebx", "bx", "bl", "bh"),
        "rdi": ("edi", "di", "dil"),
        "rsi": ("esi", "si", "sil"),
        "rdx": ("edx", "dx", "dl", "dh"),
        "rcx": ("ecx", "cx", "cl", "ch"),
        "r8": ("r8d", "r8w", "r8b"),
        "rsp": ("esp", "sp", "spl"),
        "rbp": ("ebp", "bp", "bpl"),
        **{f"r{number}": (f"r{number}d", f"r{number}w", f"r{number}b") for number in range(9, 16)},
    }.items()
    for alias in aliases
}


_DECODED_AT_ONCE = 64
"""Bytes, a few instructions."""


class Flow(Enum):
    """Where control goes after an instruction."""

    NEXT = 0
    JUMP = 1
    BRANCH = 2
    CALL = 3
    RETURN = 4


class Memory(NamedTuple):
    """A memory operand ``[base + displacement]``; ``indexed`` when more is added."""

    base: str
    displacement: int
    indexed: bool


Operand = str | int | Memory
"""A register by its full name, an immediate, or memory."""


class Instruction(NamedTuple):
    """One decoded instruction. ``target`` is the address of a direct jump or call."""

    address: int
    code: bytes
    mnemonic: str
    text: str
    flow: Flow
    target: int | None
    reads: frozenset[str]
    writes: frozenset[str]
    operands: tuple[Operand, ...]
    widths: tuple[int, ...]
    """Sizes of the operands in bytes."""

    @property
    def width(self) -> int:
        """Size of the first operand in bytes; 0 when there is none."""
        return self.widths[0] if self.widths else 0


_DECODER = Cs(CS_ARCH_X86, CS_MODE_64)
_DECODER.detail = True
_SCANNER = Cs(CS_ARCH_X86, CS_MODE_64)
_SCANNER.skipdata = True  # what it cannot decode must not hide the jumps behind it


def full_register(name: str) -> str:
    """The 64-bit register that a register is part of."""
    return _FULL_NAME.get(name, name)


def _operand(raw: Any, operand: Any) -> Operand:
    if operand.type == X86_OP_REG:
        return full_register(str(raw.reg_name(operand.reg)))
    if operand.type == X86_OP_IMM:
        return int(operand.imm)
    if operand.type == X86_OP_MEM:
        memory = operand.mem
        base = str(raw.reg_name(memory.base)) if memory.base else ""
        return Memory(base, int(memory.disp), bool(memory.index or memory.segment))
    return ""


def _full_registers(raw: Any, registers: list[int]) -> frozenset[str]:
    return frozenset(full_register(str(raw.reg_name(register))) for register in registers)


def _flow(raw: Any) -> Flow:
    if raw.group(CS_GRP_CALL):
        return Flow.CALL
    if raw.group(CS_GRP_RET):
        return Flow.RETURN
    if raw.group(CS_GRP_JUMP):
        return Flow.JUMP if raw.mnemonic.endswith("jmp") else Flow.BRANCH
    return Flow.NEXT


def decode(code: bytes, address: int) -> Iterator[Instruction]:
    """Instructions one after the other from ``address``, until the bytes make no sense or end."""
    for raw in _DECODER.disasm(code, address):
        flow = _flow(raw)
        operands = tuple(_operand(raw, operand) for operand in raw.operands)
        read, written = raw.regs_access()
        direct = flow in (Flow.CALL, Flow.JUMP, Flow.BRANCH) and operands and isinstance(operands[0], int)
        yield Instruction(
            raw.address,
            bytes(raw.bytes),
            raw.mnemonic,
            f"{raw.mnemonic} {raw.op_str}".rstrip(),
            flow,
            int(raw.operands[0].imm) if direct else None,
            _full_registers(raw, read),
            _full_registers(raw, written),
            operands,
            tuple(int(operand.size) for operand in raw.operands),
        )


class Listing:
    """The instructions of a piece of code, each decoded when it is asked for."""

    def __init__(self, code: bytes, start: int) -> None:
        self._code = code
        self._start = start
        self._known: dict[int, Instruction] = {}

    def at(self, address: int) -> Instruction | None:
        """The instruction at an address; None outside of the code, and where the bytes make no sense."""
        offset = address - self._start
        if address not in self._known and 0 <= offset < len(self._code):
            for one in decode(self._code[offset : offset + _DECODED_AT_ONCE], address):
                self._known.setdefault(one.address, one)
        return self._known.get(address)


def transfer_targets(code: bytes, address: int) -> tuple[frozenset[int], frozenset[int]]:
    """(targets of direct jumps and branches, targets of direct calls) in a run of code."""
    jumps, calls = set(), set()
    for _, _, mnemonic, operand in _SCANNER.disasm_lite(code, address):
        if operand.startswith("0x"):
            if mnemonic.endswith("call"):
                calls.add(int(operand, 16))
            elif "j" in mnemonic or mnemonic.startswith("loop"):
                jumps.add(int(operand, 16))
    return frozenset(jumps), frozenset(calls)
