# SPDX-License-Identifier: Apache-2.0
"""Where BoringSSL keeps the hello randoms, in files without symbols: told by the code that fills them.

A client draws 32 random bytes (handshake_client.cc), a server of TLS 1.2 the last 28 of its own 32
(handshake_server.cc), from the same generator, into the same part of the object. That places both.
"""

from collections.abc import Iterator
from typing import NamedTuple

from otel_qtap.discovery.disassembly import ARGUMENTS, Flow, Instruction, Memory, decode
from otel_qtap.discovery.elf import ElfFile, Function
from otel_qtap.discovery.locating.object_layout import RANDOM_BYTES
from otel_qtap.discovery.locating.references import Reference
from otel_qtap.probes.spec import ObjectLayout

CLIENT_SOURCE, SERVER_SOURCE = b"ssl/handshake_client.cc", b"ssl/handshake_server.cc"
_TIME_BYTES = 4
"""Of the server's random, which begins with the time up to TLS 1.2 (RFC 5246, section 7.4.1.2)."""
_CLOBBERED = frozenset({"rax", "r10", "r11", *ARGUMENTS})
_NEAR = 4 << 10
_BEFORE, _BEHIND = 64, 48


_Place = tuple[int, int]


class _Filled(NamedTuple):
    """``function`` is called with ``*(pointer at holder) + offset`` and a size."""

    function: int
    holder: int
    offset: int


def randoms_layout(
    elf: ElfFile, read: Function, client: list[Reference], server: list[Reference]
) -> ObjectLayout | None:
    """The place of both randoms; None when the code does not prove it.

    ``read`` is SSL_read, the others are where code refers to CLIENT_SOURCE and to SERVER_SOURCE.
    """
    held = _held(elf, read)
    clients = {one for one in _filled(elf, client, RANDOM_BYTES) if one.holder in held}
    servers = {
        one._replace(offset=one.offset - _TIME_BYTES)
        for one in _filled(elf, server, RANDOM_BYTES - _TIME_BYTES)
    }
    # The two lie side by side, so each confirms the other.
    proven = {one for one in clients if one._replace(offset=one.offset - RANDOM_BYTES) in servers}
    if len(proven) != 1:
        return None
    (place,) = proven
    return ObjectLayout(
        randoms=place.holder, client_random=place.offset, server_random=place.offset - RANDOM_BYTES
    )


def _held(elf: ElfFile, read: Function) -> set[int]:
    """Places at which SSL_read finds pointers in what it is given."""
    return {
        step.operands[1].displacement
        for step in decode(elf.code(read.start, read.end), read.start)
        if step.mnemonic == "mov" and step.width == 8 and isinstance(step.operands[1], Memory)
    }


def _filled(elf: ElfFile, sites: list[Reference], size: int) -> set[_Filled]:
    found: set[_Filled] = set()
    wanted = b"\xbe" + size.to_bytes(4, "little")  # mov esi, imm32
    for start, end in _around(elf, sites):
        code = elf.code(start, end)
        at = code.find(wanted)
        while at >= 0:
            found |= set(_calls(_run(code, start, at), size))
            at = code.find(wanted, at + 1)
    return found


def _around(elf: ElfFile, sites: list[Reference]) -> list[tuple[int, int]]:
    """Code near the sites, by parts that do not overlap."""
    parts: list[tuple[int, int]] = []
    for site in sites:
        start, end = elf.code_around(site.address, _NEAR)
        if parts and start <= parts[-1][1]:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((start, end))
    return parts


def _run(code: bytes, address: int, at: int) -> list[Instruction]:
    """The instructions before the one at ``code[at]``, and those behind it up to a call.

    Decoding from a wrong byte falls into step after a few instructions.
    """
    for start in range(max(at - _BEFORE, 0), at):
        steps = list(decode(code[start : at + _BEHIND], address + start))
        here = next((index for index, step in enumerate(steps) if step.address == address + at), None)
        if here is not None:
            call = next((i for i, step in enumerate(steps) if i > here and step.flow is Flow.CALL), here)
            return steps[: call + 1]
    return []


def _calls(code: list[Instruction], size: int) -> Iterator[_Filled]:
    """Calls with an address behind a pointer, and ``size``, as their arguments."""
    behind: dict[str, _Place] = {}
    second: int | None = None
    for step in code:
        if step.flow is Flow.CALL:
            if second == size and step.target is not None and ARGUMENTS[0] in behind:
                yield _Filled(step.target, *behind[ARGUMENTS[0]])
            behind = {register: place for register, place in behind.items() if register not in _CLOBBERED}
            second = None
            continue
        place = _place(step, behind)
        behind = {register: place for register, place in behind.items() if register not in step.writes}
        target = step.operands[0] if step.operands else None
        if place and isinstance(target, str):
            behind[target] = place
        if ARGUMENTS[1] in step.writes:
            value = step.operands[-1]
            second = value if step.mnemonic == "mov" and isinstance(value, int) else None


def _place(step: Instruction, behind: dict[str, _Place]) -> _Place | None:
    """Where the first operand points afterwards: the place of the pointer, and how far behind it."""
    if len(step.operands) != 2:
        return None
    target, source = step.operands
    if step.mnemonic == "mov" and isinstance(source, Memory):
        return (source.displacement, 0) if step.width == 8 and not source.indexed else None
    if step.mnemonic == "mov" and isinstance(source, str):
        return behind.get(source)
    base: _Place | None = None
    distance = 0
    if step.mnemonic == "lea" and isinstance(source, Memory) and not source.indexed:
        base, distance = behind.get(source.base), source.displacement
    elif step.mnemonic == "add" and isinstance(target, str) and isinstance(source, int):
        base, distance = behind.get(target), source
    return (base[0], base[1] + distance) if base else None
