# SPDX-License-Identifier: Apache-2.0
"""Where in a TLS object its role is, read from the library's own accessor.

``SSL_is_server`` is evaluated symbolically along the one path that a TLS connection takes. From
OpenSSL 3.2 on an object begins with its type, and 0 is a TLS connection (other types are QUIC
objects, laid out differently). So a 32-bit word at offset 0 of the object is taken to be zero, and
the place of every such assumption is part of the answer. Any instruction, branch or call that this
does not decide means: not proven.
"""

from typing import NamedTuple

from otel_qtap.discovery.disassembly import Flow, Instruction, Memory, decode

_LONGEST_PATH = 32
_OBJECT_SPAN = 4096
_BRANCH_IF_ZERO = {"je": True, "jne": False}
_TYPE_OFFSET = 0


class RoleField(NamedTuple):
    """``offset`` of a u32 in the TLS object: 0 client, else server.

    ``type_offset``: when not None, a u32 there must be 0, or the object is no TLS connection.
    """

    offset: int
    type_offset: int | None


class _Object(NamedTuple):
    """The value is the address of the TLS object."""


class _Field(NamedTuple):
    """The value is the 32-bit word at this offset of the object."""

    offset: int


_Value = _Object | _Field | int | None
"""None is a value of which nothing is known."""


def role_field(code: bytes, address: int) -> RoleField | None:
    """Evaluate the accessor's code; None when it does not prove where the role is."""
    instructions = {instruction.address: instruction for instruction in decode(code, address)}
    registers: dict[str, _Value] = {"rdi": _Object()}
    zero: bool | None = None
    assumed: int | None = None
    for _ in range(_LONGEST_PATH):
        step = instructions.get(address)
        if step is None:
            return None
        address += len(step.code)
        if step.flow is Flow.RETURN:
            result = registers.get("rax")
            return RoleField(result.offset, assumed) if isinstance(result, _Field) else None
        if step.flow is Flow.JUMP and step.target is not None:
            address = step.target
        elif step.flow is Flow.BRANCH and step.target is not None:
            if zero is None or step.mnemonic not in _BRANCH_IF_ZERO:
                return None
            if _BRANCH_IF_ZERO[step.mnemonic] is zero:
                address = step.target
        elif step.flow is not Flow.NEXT:
            return None
        elif step.mnemonic in ("test", "cmp"):
            zero, used = _compared_with_zero(step, registers)
            assumed = used if used is not None else assumed
        elif step.mnemonic not in ("endbr64", "nop"):
            if not _assign(step, registers):
                return None
            if step.mnemonic != "mov":
                zero = None
    return None


def _compared_with_zero(step: Instruction, registers: dict[str, _Value]) -> tuple[bool | None, int | None]:
    """(whether the compared value is zero, offset of the type word if that was assumed zero)."""
    left, right = step.operands
    if (step.mnemonic == "test" and left != right) or (step.mnemonic == "cmp" and right != 0):
        return None, None
    value = _load(left, step.width, registers)
    if isinstance(value, _Object):
        return False, None
    if value == _Field(_TYPE_OFFSET):
        return True, _TYPE_OFFSET
    return None, None


def _assign(step: Instruction, registers: dict[str, _Value]) -> bool:
    """Carry out an assignment to a register; False when the instruction does anything else."""
    target = step.operands[0] if step.operands else None
    if not isinstance(target, str) or not target:
        return False
    if step.mnemonic == "mov":
        registers[target] = _load(step.operands[1], step.width, registers)
    elif step.mnemonic == "xor" and step.operands[0] == step.operands[1]:
        registers[target] = 0
    else:
        return False
    return True


def _load(operand: object, width: int, registers: dict[str, _Value]) -> _Value:
    if isinstance(operand, str):
        value = registers.get(operand)
        # Half of an address is no address; half of nothing but whole words is kept otherwise.
        return None if isinstance(value, _Object) and width != 8 else value
    if isinstance(operand, int):
        return operand
    if (
        isinstance(operand, Memory)
        and not operand.indexed
        and width == 4
        and isinstance(registers.get(operand.base), _Object)
        and 0 <= operand.displacement < _OBJECT_SPAN
    ):
        return _Field(operand.displacement)
    return None
