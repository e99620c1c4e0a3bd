# SPDX-License-Identifier: Apache-2.0
"""Where OpenSSL from 3.0 on keeps the hello randoms, in files without symbols: by the code that fills them.

``ssl_fill_hello_random(connection, is_server, random, 32, downgrade)`` is called where a client makes its
hello and where a server has read one. The places lie side by side in the connection and prove each other.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from otel_qtap.discovery.disassembly import ARGUMENTS, STACK_POINTER, Flow, Instruction, Memory, decode
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.locating.object_layout import RANDOM_BYTES
from otel_qtap.discovery.locating.references import Reference

CLIENT_NAMES = frozenset({"tls_construct_client_hello", "tls_construct_client_hello_aux"})
SERVER_NAMES = frozenset({"tls_early_post_process_client_hello"})
"""The functions in which it is called, as their error sites pass them; the client's second one since 4.0."""

_IS_SERVER, _RANDOM, _SIZE = ARGUMENTS[1:4]
_CLOBBERED = frozenset({"rax", "r10", "r11", *ARGUMENTS})
_LONGEST = 32 << 10
_MAX_FUNCTIONS = 16


class _Filled(NamedTuple):
    """``function`` is called for the random at this place of an object."""

    function: int
    offset: int


def randoms_places(elf: ElfFile, sites: Iterable[Reference]) -> tuple[int, int] | None:
    """Offsets of the client's and the server's random in the object; None when the code does not prove them.

    ``sites`` are where code refers to CLIENT_NAMES and SERVER_NAMES.
    """
    listed = {elf.unwind().containing(site.address) for site in sites} - {None}
    clients: set[_Filled] = set()
    servers: set[_Filled] = set()
    for start, end in sorted(one for one in listed if one)[:_MAX_FUNCTIONS]:
        code = decode(elf.code(start, min(end, start + _LONGEST)), start)
        for is_server, filled in _filled(code):
            (servers if is_server else clients).add(filled)
    proven = {one for one in clients if one._replace(offset=one.offset - RANDOM_BYTES) in servers}
    if len(proven) != 1:
        return None
    (client,) = proven
    return client.offset, client.offset - RANDOM_BYTES


def _filled(code: Iterable[Instruction]) -> Iterator[tuple[bool, _Filled]]:
    """Calls with 0 or 1, a place in an object and the size of a random as second to fourth argument."""
    places: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for step in code:
        if step.flow is Flow.CALL:
            side = numbers.get(_IS_SERVER)
            if side in (0, 1) and numbers.get(_SIZE) == RANDOM_BYTES and _RANDOM in places and step.target:
                yield side == 1, _Filled(step.target, places[_RANDOM])
            places = {register: place for register, place in places.items() if register not in _CLOBBERED}
            numbers = {}
            continue
        target = step.operands[0] if step.operands else ""
        source = step.operands[1] if len(step.operands) == 2 else ""
        place = number = None
        if (
            step.mnemonic == "lea"
            and isinstance(source, Memory)
            and source.base not in ("rip", STACK_POINTER)
        ):
            place = None if source.indexed else source.displacement
        elif step.mnemonic == "mov" and isinstance(source, str):
            place, number = places.get(source), numbers.get(source)
        elif step.mnemonic == "mov" and isinstance(source, int):
            number = source
        elif step.mnemonic == "xor" and source == target:
            number = 0
        for register in step.writes:
            places.pop(register, None)
            numbers.pop(register, None)
        if isinstance(target, str) and target:
            if place is not None:
                places[target] = place
            if number is not None:
                numbers[target] = number
