# SPDX-License-Identifier: Apache-2.0
"""What a piece of code expects of its caller: the registers that it reads before it writes them.

A function reads its arguments, and saves what it must preserve by pushing it. Code that reads anything else
is no start of a function but some part of one, such as the unlikely part that compilers lay out elsewhere.
"""

from otel_qtap.discovery.disassembly import ARGUMENTS, STACK_POINTER, Flow, Instruction, Listing

_MAX_INSTRUCTIONS = 600
_CALL_CLOBBERS = frozenset({"rax", "r10", "r11", *ARGUMENTS})
_PRESERVED = frozenset({"rbx", "rbp", "r12", "r13", "r14", "r15"})
_GENERAL = frozenset({"rax", "rbx", "rbp", "r10", "r11", "r12", "r13", "r14", "r15", *ARGUMENTS})


def registers_expected(code: bytes, start: int) -> frozenset[str]:
    """General registers that are read before they are written on some path from ``start``.

    What a called function reads is not looked at. ``code`` begins at ``start``.
    """
    listing = Listing(code, start)
    expected: set[str] = set()
    seen: dict[int, frozenset[str]] = {}
    work = [(start, frozenset[str]())]
    steps = 0
    while work and steps < _MAX_INSTRUCTIONS:
        address, written = work.pop()
        while (step := listing.at(address)) is not None and steps < _MAX_INSTRUCTIONS:
            # Less was written on the way here than before: only then may more be expected.
            if address in seen:
                if seen[address] <= written:
                    break
                written &= seen[address]
            seen[address] = written
            steps += 1
            expected |= (_reads(step) & _GENERAL) - written
            written |= step.writes | _saved(step)
            address += len(step.code)
            if step.flow is Flow.CALL:
                written |= _CALL_CLOBBERS
            elif step.flow is Flow.BRANCH and step.target is not None:
                work.append((step.target, written))
            elif step.flow is Flow.JUMP and step.target is not None:
                address = step.target
            elif step.flow is not Flow.NEXT:
                break
    return frozenset(expected)


def begins_function(code: bytes, start: int) -> bool:
    """Whether the code at ``start`` reads its first argument, and nothing that no function is given."""
    expected = registers_expected(code, start)
    return ARGUMENTS[0] in expected and expected <= frozenset(ARGUMENTS)


def _reads(step: Instruction) -> frozenset[str]:
    if step.mnemonic == "push" or (step.mnemonic in ("xor", "sub", "sbb") and _is_itself(step)):
        return frozenset()  # saved, or pushed to align the stack, or made zero
    return step.reads - {STACK_POINTER}


def _saved(step: Instruction) -> frozenset[str]:
    """What is pushed to be restored is the function's own from there on."""
    return step.reads & _PRESERVED if step.mnemonic == "push" else frozenset()


def _is_itself(step: Instruction) -> bool:
    return len(step.operands) == 2 and step.operands[0] == step.operands[1]
