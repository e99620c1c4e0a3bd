# SPDX-License-Identifier: Apache-2.0
"""Which functions of one file call which, by their direct calls and jumps, PLT stubs followed."""

from otel_qtap.discovery.disassembly import ARGUMENTS, Flow, Memory, decode, transfer_targets
from otel_qtap.discovery.elf import ElfFile, Function
from otel_qtap.discovery.errors import ElfError

_STUB = 16
"""Size of a PLT entry in bytes."""


class CallGraph:
    """Answers about direct calls between functions of an open file; ``known`` are its public ones."""

    def __init__(self, elf: ElfFile, known: dict[str, Function]) -> None:
        self._elf = elf
        self._known = known
        self._slots: dict[int, str] | None = None

    def targets(self, function: Function) -> frozenset[int]:
        """Addresses that the function calls or jumps to directly, with PLT stubs resolved."""
        jumps, calls = transfer_targets(self._elf.code(function.start, function.end), function.start)
        outside = {target for target in jumps | calls if not function.start < target < function.end}
        return frozenset(self._behind_stub(target) for target in outside)

    def forwarded(self, function: Function, nargs: int) -> int | None:
        """The function that this one calls first with its own ``nargs`` arguments still untouched.

        None when the first call is indirect, conditional or made with other arguments.
        """
        changed: set[str] = set()
        arguments = frozenset(ARGUMENTS[:nargs])
        for instruction in decode(self._elf.code(function.start, function.end), function.start):
            if instruction.flow in (Flow.CALL, Flow.JUMP):
                if instruction.target is None or arguments & changed:
                    return None
                return self._behind_stub(instruction.target)
            if instruction.flow is not Flow.NEXT:
                return None
            changed |= instruction.writes
        return None

    def imported(self, function: Function) -> frozenset[str]:
        """Names of imported functions that the function calls or jumps to through their PLT stubs."""
        jumps, calls = transfer_targets(self._elf.code(function.start, function.end), function.start)
        return frozenset(name for target in jumps | calls if (name := self._stub_of(target)))

    def _behind_stub(self, target: int) -> int:
        """The address of the local function that a PLT stub leads to, else the target itself."""
        if not self._known:
            return target
        known = self._known.get(self._stub_of(target))
        return known.start if known else target

    def _stub_of(self, target: int) -> str:
        """What the PLT stub at an address is for; empty where there is none."""
        try:
            stub = self._elf.code(target, target + _STUB)
        except ElfError:
            return ""
        for instruction in decode(stub, target):
            if instruction.flow is Flow.JUMP:
                operand = instruction.operands[0] if instruction.operands else None
                if not isinstance(operand, Memory) or operand.base != "rip":
                    return ""
                if self._slots is None:
                    self._slots = self._elf.import_slots()
                slot = instruction.address + len(instruction.code) + operand.displacement
                return self._slots.get(slot, "")
            if instruction.mnemonic != "endbr64":
                return ""
        return ""
