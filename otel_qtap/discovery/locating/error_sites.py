# SPDX-License-Identifier: Apache-2.0
"""Error sites of BoringSSL: what they pass to ERR_put_error tells which function they are in.

``ERR_put_error(library, unused, reason, file, line)`` (openssl/err.h): where a function fails it names its
source file, the reason and the line, in stripped files too.
"""

import struct
from typing import NamedTuple

from otel_qtap.discovery.disassembly import Flow, Instruction, decode
from otel_qtap.discovery.elf import ElfFile, Function
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.boundaries import function_of
from otel_qtap.discovery.locating.references import Reference

_NEAR = 64
"""Bytes before and behind the load of the file's name within which the reason is loaded, too."""
_MAX_FUNCTIONS = 64
"""Five times as many as real files have."""
_REASON, _LINE = "rdx", "r8"


class ErrorSite(NamedTuple):
    """A function fails for this reason (its number in openssl/ssl.h) at this line."""

    function: Function
    reason: int
    line: int


def error_sites(elf: ElfFile, references: list[Reference], reasons: frozenset[int]) -> list[ErrorSite]:
    """The sites for these reasons among the references to a source file's name.

    Sites in code whose function is not certain are left out. Raises ElfError when the file cannot be read.
    """
    wanted = tuple(b"\xba" + struct.pack("<I", reason) for reason in reasons)  # mov edx, imm32
    found: list[ErrorSite] = []
    functions: dict[Function, list[Instruction]] = {}
    for reference in references:
        around = elf.code(*elf.code_around(reference.address, _NEAR))
        if not any(bytes_ in around for bytes_ in wanted):
            continue
        function = function_of(elf, reference.address)
        if function is None:
            continue
        if function not in functions:
            if len(functions) == _MAX_FUNCTIONS:
                raise ElfError("too many of its functions fail for the same reasons")
            functions[function] = list(decode(elf.code(function.start, function.end), function.start))
        passed = _constants(functions[function], reference.address)
        if passed and passed[0] in reasons:
            found.append(ErrorSite(function, *passed))
    return found


def _constants(code: list[Instruction], site: int) -> tuple[int, int] | None:
    """(reason, line) as loaded in the run of code that holds the instruction at ``site``."""
    at = next((index for index, one in enumerate(code) if one.address == site), None)
    if at is None:
        return None
    loaded: dict[str, int] = {}
    for step in code[at + 1 :]:
        _note(step, loaded)
        if step.flow is not Flow.NEXT:
            break
    for step in reversed(code[:at]):
        if step.flow is not Flow.NEXT:
            break
        _note(step, loaded)
    return (loaded[_REASON], loaded[_LINE]) if {_REASON, _LINE} <= loaded.keys() else None


def _note(step: Instruction, loaded: dict[str, int]) -> None:
    if step.mnemonic == "mov" and isinstance(step.operands[0], str) and isinstance(step.operands[1], int):
        loaded.setdefault(step.operands[0], step.operands[1])
