# SPDX-License-Identifier: Apache-2.0
"""Compiled BPF programs and the maps that they use, loaded without the compiler.

What BCC made of the sources is the same at each start on one kernel: kept, it takes neither BCC nor LLVM,
and a part of the time. Instructions: Documentation/bpf/standardization/instruction-set.rst of the kernel.
"""

import contextlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_qtap.capture.syscalls import MapDefinition, map_create, program_load

_INSTRUCTION = struct.Struct("<BBhi")
_LOAD_WIDE = 0x18
"""``BPF_LD | BPF_IMM | BPF_DW``: takes two instructions."""
_PSEUDO_MAP_FD = 1
"""Source register of a wide load of the address of a map."""


class BytecodeError(Exception):
    """This is no bytecode, or it uses a map that is not among the named ones."""


@dataclass(frozen=True, slots=True)
class Program:
    """One program: its type and the type of its attachment (enum bpf_prog_type, bpf_attach_type), and its
    instructions, in which maps go by their places in ``Bytecode.maps``."""

    kind: int
    attach_type: int
    code: bytes


@dataclass(frozen=True, slots=True)
class Bytecode:
    """Programs and maps by name; the order of the maps is part of it."""

    programs: Mapping[str, Program]
    maps: Mapping[str, MapDefinition]

    def load(self) -> tuple[dict[str, int], dict[str, int]]:
        """Make the maps, load the programs: descriptors by name. Raises OSError, with nothing left open."""
        maps: dict[str, int] = {}
        programs: dict[str, int] = {}
        try:
            for name, definition in self.maps.items():
                maps[name] = map_create(name, definition)
            places = list(maps.values())
            for name, program in self.programs.items():
                code = _renamed(program.code, dict(enumerate(places)))
                programs[name] = program_load(name, program.kind, program.attach_type, code)
        except (OSError, BytecodeError):
            for descriptor in (*maps.values(), *programs.values()):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
            raise
        return programs, maps

    def to_entry(self) -> dict[str, Any]:
        """In a form that JSON has."""
        return {
            "programs": {
                name: [program.kind, program.attach_type, program.code.hex()]
                for name, program in self.programs.items()
            },
            "maps": {name: list(definition) for name, definition in self.maps.items()},
        }


def from_entry(entry: Mapping[str, Any]) -> Bytecode:
    """What ``to_entry`` made. Raises BytecodeError for anything else."""
    try:
        return Bytecode(
            {
                str(name): Program(int(kind), int(attach_type), bytes.fromhex(code))
                for name, (kind, attach_type, code) in entry["programs"].items()
            },
            {str(name): MapDefinition(*map(int, fields)) for name, fields in entry["maps"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BytecodeError(f"not bytecode: {error}") from None


def compiled(
    programs: Mapping[str, tuple[int, int, bytes]],
    descriptors: Mapping[str, int],
    definitions: Mapping[str, MapDefinition],
) -> Bytecode:
    """Bytecode of what was compiled: type, attach type and code of each program, in which maps go by the
    ``descriptors`` that they had there. Raises BytecodeError."""
    places = {descriptors[name]: place for place, name in enumerate(definitions)}
    return Bytecode(
        {
            name: Program(kind, attach_type, _renamed(code, places))
            for name, (kind, attach_type, code) in programs.items()
        },
        dict(definitions),
    )


def _renamed(code: bytes, names: Mapping[int, int]) -> bytes:
    """Code in which each map goes by another number."""
    changed = bytearray(code)
    at = 0
    while at + _INSTRUCTION.size <= len(code):
        operation, registers, offset, immediate = _INSTRUCTION.unpack_from(code, at)
        if operation == _LOAD_WIDE and registers >> 4 == _PSEUDO_MAP_FD:
            if immediate not in names:
                raise BytecodeError("a program uses a map that has no name")
            _INSTRUCTION.pack_into(changed, at, operation, registers, offset, names[immediate])
        at += _INSTRUCTION.size * (2 if operation == _LOAD_WIDE else 1)
    if at != len(code):
        raise BytecodeError("a program is cut off")
    return bytes(changed)
