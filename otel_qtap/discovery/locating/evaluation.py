# SPDX-License-Identifier: Apache-2.0
"""Runs the code of a short accessor with an object of which nothing is known, and tells what it yields.

One path is followed: that of a TLS connection. From OpenSSL 3.2 on an object begins with its type, and 0 is a
TLS connection (others are QUIC objects, laid out differently): a 32-bit word at offset 0 of the object is
taken to be zero where a decision depends on it, and that it was is part of the answer. Any other decision,
instruction or call that is not understood ends the run without an answer.
"""

from collections.abc import Callable
from typing import NamedTuple

from otel_qtap.discovery.disassembly import STACK_POINTER, Flow, Instruction, Memory, Operand, decode

_LONGEST_PATH = 96
_OBJECT_SPAN = 4096
_FUNCTION = 512
"""Bytes of code read at once."""
_MASKS = {width: (1 << 8 * width) - 1 for width in (1, 2, 4, 8)}
_BLOCK_MOVES = frozenset({"movdqu", "movdqa", "movups", "movaps", "vmovdqu", "vmovdqa", "vmovups", "vmovaps"})
_NO_EFFECT = frozenset({"endbr64", "nop", "vzeroupper"})
OBJECT, OUT = "object", "out"
_STACK = "stack"
_RETURN_ADDRESS = None


class Address(NamedTuple):
    """So many bytes into ``object``, ``out``, the stack or ``*N``: behind the object's pointer at N."""

    base: str
    offset: int


class Content(NamedTuple):
    """What ``width`` bytes of memory hold: not known, but where it came from is."""

    address: Address
    width: int


class Bits(NamedTuple):
    """Some bits of a content of at most four bytes."""

    content: Content
    mask: int


Value = Address | Content | Bits | int | None
"""None: anything."""


class Outcome(NamedTuple):
    """``value``: what was returned, else the first thing that was stored at ``out``, as if from its start."""

    value: Value
    is_typed: bool
    """Whether the object's first 32 bits were taken to be zero."""


class _UndecidedError(Exception):
    """The code does something that is not understood."""


def evaluate(code_at: Callable[[int, int], bytes], start: int, arguments: dict[str, Value]) -> Outcome | None:
    """Run the function at ``start``; ``code_at`` yields the code between two addresses, or raises.

    Ends with its return, or with the first thing copied to ``out``. None: not understood.
    """
    machine = _Machine(arguments)
    try:
        value = _run(machine, code_at, start)
    except _UndecidedError:
        return None
    return Outcome(value, machine.is_typed)


def _run(machine: "_Machine", code_at: Callable[[int, int], bytes], start: int) -> Value:
    address = start
    known: dict[int, Instruction] = {}
    for _ in range(_LONGEST_PATH):
        step = known.get(address)
        if step is None:
            known |= {one.address: one for one in decode(code_at(address, address + _FUNCTION), address)}
            step = known.get(address)
        if step is None:
            raise _UndecidedError
        address += len(step.code)
        if step.flow is Flow.RETURN:
            return machine.registers.get("rax")
        if step.flow is Flow.NEXT:
            if (copied := machine.execute(step)) is not None:
                return copied
            continue
        if step.flow is not Flow.BRANCH and (copied := machine.copied_by_callee()) is not None:
            return copied
        if step.target is None or step.flow is Flow.CALL:
            raise _UndecidedError
        if step.flow is Flow.JUMP or machine.condition(step.mnemonic[1:]):
            address = step.target
    raise _UndecidedError


def _pointer(value: Value) -> Address | None:
    """The address that a value is, or that it is when the object holds it."""
    if isinstance(value, Content) and value.width == 8 and value.address.base == OBJECT:
        return Address(f"*{value.address.offset}", 0)
    return value if isinstance(value, Address) else None


class _Machine:
    """Registers, stack and the last comparison."""

    def __init__(self, arguments: dict[str, Value]) -> None:
        self.registers: dict[str, Value] = {**arguments, STACK_POINTER: Address(_STACK, 0)}
        self.is_typed = False
        self._stack: dict[int, Value] = {}
        self._compared: tuple[int, int, int] | None = None

    def copied_by_callee(self) -> Value:
        """What a call of memcpy(3) with the present arguments would copy to ``out``, if it is that."""
        target, source, size = (self.registers.get(name) for name in ("rdi", "rsi", "rdx"))
        if target == Address(OUT, 0) and isinstance(size, int) and (place := _pointer(source)):
            return Content(place, size)
        return None

    def execute(self, step: Instruction) -> Value:
        """Carry out an instruction that does not jump; yields what it stored at ``out``."""
        name, operands = step.mnemonic, step.operands
        if name in _NO_EFFECT:
            return None
        if name == "push":
            self._stack_pointer(-8)
            return self._store(Memory(STACK_POINTER, 0, False), self._value(operands[0], 8), 8)
        if name == "pop":
            self._set(operands[0], self._value(Memory(STACK_POINTER, 0, False), 8), 8)
            self._stack_pointer(8)
        elif name == "lea":
            self._set(operands[0], self._place(operands[1]), step.width)
        elif name in ("mov", "movabs", "movzx") or name in _BLOCK_MOVES:
            value = self._value(operands[1], step.widths[1])
            if isinstance(operands[0], Memory):
                return self._store(operands[0], value, step.width)
            self._set(operands[0], value, step.width)
        elif name.startswith("cmov"):
            if self.condition(name[4:]):
                self._set(operands[0], self._value(operands[1], step.widths[1]), step.width)
        elif name in ("rep movsb", "rep movsq", "rep movsd"):
            copied = _pointer(self.registers.get("rsi"))
            if self.registers.get("rdi") != Address(OUT, 0) or copied is None:
                raise _UndecidedError
            return Content(copied, 1)
        else:
            self._compute(step)
        return None

    def condition(self, code: str) -> bool:
        """Whether a condition of jcc or cmovcc holds. Raises where that is not known."""
        if self._compared is None:
            raise _UndecidedError
        left, right, width = self._compared
        sign = 1 << 8 * width - 1
        as_signed = tuple((value ^ sign) - sign for value in (left, right))
        holds = {
            "e": left == right,
            "b": left < right,
            "be": left <= right,
            "l": as_signed[0] < as_signed[1],
            "le": as_signed[0] <= as_signed[1],
            "s": bool((left - right) & sign),
        }
        opposite = {"ne": "e", "ae": "b", "a": "be", "ge": "l", "g": "le", "ns": "s"}
        if code in holds:
            return holds[code]
        if code in opposite:
            return not holds[opposite[code]]
        raise _UndecidedError

    def _compute(self, step: Instruction) -> None:
        name, width = step.mnemonic, step.width
        if not step.operands or width not in _MASKS:
            raise _UndecidedError
        left = self._value(step.operands[0], width)
        right = self._value(step.operands[1], width) if len(step.operands) > 1 else None
        same = step.operands[0] == step.operands[-1] and len(step.operands) > 1
        if name == "cmp":
            self._compare(left, right, width)
        elif name == "test":
            if same:
                self._compare(left, 0, width)
            else:
                self._compare(self._number(left) & self._number(right), 0, width)
        elif name == "xor" and same:
            self._set(step.operands[0], 0, 8)
            self._compare(0, 0, width)
        elif name in ("add", "sub") and (base := _pointer(left)) and isinstance(right, int) and width == 8:
            signed = (right ^ 1 << 63) - (1 << 63)
            moved = base.offset + (signed if name == "add" else -signed)
            self._set(step.operands[0], Address(base.base, moved), 8)
            self._compared = None
        elif name == "and" and isinstance(left, Content) and left.width <= 4 and isinstance(right, int):
            self._set(step.operands[0], Bits(left, right & _MASKS[left.width]), width)
            self._compared = None
        elif name == "and" and isinstance(left, Address) and right == _MASKS[8] - 7:
            # A caller may have an aligned buffer, so let it be one.
            self._set(step.operands[0], Address(left.base, left.offset & -8), 8)
            self._compared = None
        elif name in ("add", "sub", "and", "or"):
            one, other = self._number(left), self._number(right)
            result = {"add": one + other, "sub": one - other, "and": one & other, "or": one | other}[name]
            self._set(step.operands[0], result & _MASKS[width], width)
            self._compare(*((one, other) if name == "sub" else (result & _MASKS[width], 0)), width)
        else:
            raise _UndecidedError

    def _compare(self, left: Value, right: Value, width: int) -> None:
        if isinstance(left, Address) and right == 0 and left.offset < _OBJECT_SPAN:
            self._compared = (1, 0, width)  # a pointer to something is not null
        else:
            self._compared = (self._number(left) & _MASKS[width], self._number(right) & _MASKS[width], width)

    def _number(self, value: Value) -> int:
        if isinstance(value, int):
            return value
        if value == Content(Address(OBJECT, 0), 4):
            self.is_typed = True
            return 0
        raise _UndecidedError

    def _stack_pointer(self, change: int) -> None:
        pointer = self.registers.get(STACK_POINTER)
        if not isinstance(pointer, Address) or pointer.base != _STACK:
            raise _UndecidedError
        self.registers[STACK_POINTER] = Address(_STACK, pointer.offset + change)

    def _place(self, operand: Operand) -> Value:
        """The address that a memory operand names."""
        if not isinstance(operand, Memory) or operand.indexed:
            return None
        base = _pointer(self.registers.get(operand.base))
        return Address(base.base, base.offset + operand.displacement) if base else None

    def _value(self, operand: Operand, width: int) -> Value:
        if isinstance(operand, int):
            return operand & _MASKS[8]
        if isinstance(operand, str):
            value = self.registers.get(operand)
            if isinstance(value, int):
                return value & _MASKS.get(width, 0)
            # Half of an address is no address; of other contents only the whole is known.
            return None if isinstance(value, Address) and width != 8 else value
        place = self._place(operand)
        if not isinstance(place, Address):
            return None
        if place.base == _STACK:
            return self._stack.get(place.offset)
        return Content(place, width) if 0 <= place.offset < _OBJECT_SPAN else None

    def _set(self, operand: Operand, value: Value, width: int) -> None:
        if not isinstance(operand, str) or not operand:
            raise _UndecidedError
        if width < 4 and operand != STACK_POINTER:
            value = None  # the rest of the register stays what it was
        self.registers[operand] = value

    def _store(self, operand: Memory, value: Value, width: int) -> Value:
        place = self._place(operand)
        if not isinstance(place, Address):
            raise _UndecidedError
        if place.base == _STACK:
            self._stack[place.offset] = value
            return None
        if place.base != OUT or not isinstance(value, Content):
            raise _UndecidedError
        # The first piece that is stored need not be the first of what is copied.
        source = Address(value.address.base, value.address.offset - place.offset)
        return Content(source, width)
