# SPDX-License-Identifier: Apache-2.0
"""Where in a TLS object its role and the hello randoms are, read from the library's own accessors."""

from dataclasses import replace
from typing import NamedTuple

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.locating.evaluation import (
    OBJECT,
    OUT,
    Address,
    Bits,
    Content,
    Outcome,
    Value,
    evaluate,
)
from otel_qtap.discovery.plan import Refusal
from otel_qtap.probes.spec import Accessors, ObjectLayout

RANDOM_BYTES = 32
"""Of a hello (RFC 8446, section 4.1.2)."""


class _Randoms(NamedTuple):
    is_typed: bool
    pointer: int | None
    client: int
    server: int


def object_layout(elf: ElfFile, accessors: Accessors, refusals: list[Refusal]) -> ObjectLayout:
    """What the accessors that the file names prove; what they do not is added to ``refusals``."""
    layout = ObjectLayout()
    if role := _evaluated(elf, accessors.role, refusals):
        mask = role.value.mask if isinstance(role.value, Bits) else None
        content = role.value.content if isinstance(role.value, Bits) else role.value
        if isinstance(content, Content) and content.address.base == OBJECT and (mask or content.width == 4):
            layout = replace(layout, role=content.address.offset, role_mask=mask, type=_type(role.is_typed))
        else:
            refusals.append(Refusal(accessors.role, "its code does not show where the role is"))
    if randoms := _randoms(elf, accessors, refusals):
        layout = replace(
            layout,
            type=_type(randoms.is_typed or layout.type is not None),
            randoms=randoms.pointer,
            client_random=randoms.client,
            server_random=randoms.server,
        )
    return layout


def _type(is_typed: bool) -> int | None:
    return 0 if is_typed else None


def _randoms(elf: ElfFile, accessors: Accessors, refusals: list[Refusal]) -> _Randoms | None:
    client = _evaluated(elf, accessors.client_random, refusals)
    server = _evaluated(elf, accessors.server_random, refusals)
    if client is None or server is None:
        return None
    if isinstance(client.value, Content) and isinstance(server.value, Content):
        (base, at), (server_base, server_at) = client.value.address, server.value.address
        # OpenSSL and BoringSSL keep the two side by side: anything else is not understood.
        if base == server_base and base != OUT and at == server_at + RANDOM_BYTES and server_at >= 0:
            pointer = int(base.removeprefix("*")) if base != OBJECT else None
            return _Randoms(client.is_typed or server.is_typed, pointer, at, server_at)
    refusals.append(Refusal(accessors.client_random, "its code does not show where the random is"))
    return None


def _evaluated(elf: ElfFile, symbol: str, refusals: list[Refusal]) -> Outcome | None:
    if not symbol:
        return None
    function = elf.functions([symbol]).get(symbol)
    if function is None:
        refusals.append(Refusal(symbol, "not in this file"))
        return None
    arguments: dict[str, Value] = {"rdi": Address(OBJECT, 0), "rsi": Address(OUT, 0), "rdx": RANDOM_BYTES}
    try:
        outcome = evaluate(elf.code, function.start, arguments)
    except ElfError:
        outcome = None
    if outcome is None:
        refusals.append(Refusal(symbol, "its code is not understood"))
    return outcome
