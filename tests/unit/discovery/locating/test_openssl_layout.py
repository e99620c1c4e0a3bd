# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.locating.openssl_layout import CLIENT_NAMES, SERVER_NAMES, randoms_places
from otel_qtap.discovery.locating.references import references, strings
from tests.unit.discovery.locating.conftest import function

DATA = f"""
fill: ret
other: ret
.section .rodata
client: .asciz "{min(CLIENT_NAMES)}"
server: .asciz "{min(SERVER_NAMES)}"
"""
CALL = """
    lea rdx, {name}[rip]
    lea r12, [r15+{offset}]
    mov esi, [r15+0x8d0]
    test esi, esi
    jne 1f
    {side}
    mov ecx, {size}
    mov rdx, r12
    mov rdi, r15
    call {filler}
1:  ret
"""
CLIENT = {"name": "client", "offset": 0x160, "side": "xor esi, esi", "size": 32, "filler": "fill"}
SERVER = {"name": "server", "offset": 0x140, "side": "mov esi, 1", "size": 32, "filler": "fill"}


@pytest.fixture
def places_of(assemble):
    def places_of(client: dict[str, object], server: dict[str, object]) -> tuple[int, int] | None:
        source = function("f", CALL.format(**client)) + function("g", CALL.format(**server))
        elf = assemble(source + DATA)
        names = strings(elf, [name.encode() for name in CLIENT_NAMES | SERVER_NAMES])
        return randoms_places(elf, references(elf, set().union(*names.values()), "rdx"))

    return places_of


def test_the_calls_that_fill_both_randoms_tell_where_they_are(places_of):
    assert places_of(CLIENT, SERVER) == (0x160, 0x140)


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 0x130},  # not side by side
        {"filler": "other"},  # not filled by the same function
        {"size": 28},  # not a random
        {"side": "xor esi, esi"},  # not a server's
        {"side": "mov esi, [r15]"},
    ],
)
def test_calls_that_do_not_agree_prove_nothing(places_of, change):
    assert places_of(CLIENT, {**SERVER, **change}) is None
