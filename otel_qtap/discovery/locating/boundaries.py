# SPDX-License-Identifier: Apache-2.0
"""Which function some code belongs to, in a file without symbols.

The unwind table lists functions with their sizes. Where it does not, only the padding by ``int3`` that
clang's linker lays between functions is trusted, and only if the code is reached from the start that it
suggests: padding by ``nop`` cannot be told from the alignment of a loop.
"""

from otel_qtap.discovery.disassembly import Flow, Listing
from otel_qtap.discovery.elf import MAX_FUNCTION, ElfFile, Function
from otel_qtap.discovery.locating.liveness import begins_function

_ALIGNMENT = 16
_PADDING = 0xCC
_ENDS = frozenset({"ud2", "hlt", "int3"})
_FARTHEST = 4 << 10
"""Bytes of code in front of an address in which its function's start is looked for."""


def function_of(elf: ElfFile, address: int) -> Function | None:
    """The function that holds an instruction's address, without a name; None when that is not certain."""
    listed = elf.unwind().containing(address)
    if listed is None:
        listed = _between_paddings(elf, address)
    if listed is None:
        return None
    start, end = listed
    end = min(end, start + MAX_FUNCTION)
    if not start <= address < end or not begins_function(elf.code(start, end), start):
        return None
    return Function("", start, end)


def _between_paddings(elf: ElfFile, address: int) -> tuple[int, int] | None:
    lowest, highest = elf.code_around(address, _FARTHEST)
    code = elf.code(lowest, highest)
    start = address // _ALIGNMENT * _ALIGNMENT
    while start > lowest and code[start - lowest - 1] != _PADDING:
        start -= _ALIGNMENT
    if start <= lowest:
        return None
    end = code.find(bytes([_PADDING] * 2), address - lowest)
    body = code[start - lowest : end if end >= 0 else len(code)]
    reached = _reached(Listing(body, start), start)
    if address not in reached:
        return None
    # A function may end just where the next one starts, without padding, and jump there.
    for other in range(start + _ALIGNMENT, address + 1, _ALIGNMENT):
        if other in reached and not reached[other] and begins_function(body[other - start :], other):
            return None
    return start, start + len(body)


def _reached(listing: Listing, start: int) -> dict[int, bool]:
    """Addresses of the instructions that direct control flow reaches, and whether one runs on into it."""
    reached: dict[int, bool] = {}
    work = [start]
    while work:
        address = work.pop()
        runs_on = False
        while (step := listing.at(address)) is not None:
            if address in reached:
                reached[address] |= runs_on
                break
            reached[address] = runs_on
            address += len(step.code)
            runs_on = True
            if step.flow in (Flow.BRANCH, Flow.JUMP) and step.target is not None:
                work.append(step.target)
            if step.flow in (Flow.JUMP, Flow.RETURN) or step.mnemonic in _ENDS:
                break
    return reached
