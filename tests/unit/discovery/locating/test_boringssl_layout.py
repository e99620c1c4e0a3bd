# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.locating.boringssl_layout import CLIENT_SOURCE, SERVER_SOURCE, randoms_layout
from otel_qtap.discovery.locating.references import references, strings
from otel_qtap.probes.spec import ObjectLayout
from tests.unit.discovery.locating.conftest import function

DATA = f"""
put_error: ret
random_bytes: ret
other: ret
.section .rodata
client: .asciz "{CLIENT_SOURCE.decode()}"
server: .asciz "{SERVER_SOURCE.decode()}"
"""
READ = "mov rax, [rdi+{holder}]\n mov rsi, [rax+0x80]\n ret"
CLIENT = """
    mov rdi, [r12+{holder}]
    add rdi, {offset}
    mov esi, 32
    call {generator}
    lea rcx, client[rip]
    call put_error
    ret"""
SERVER = """
    lea rcx, server[rip]
    call put_error
    mov rax, [r13+{holder}]
    mov esi, 28
    lea rdi, [rax+{offset}+4]
    call {generator}
    ret"""


@pytest.fixture
def layout_of(assemble):
    def layout_of(*, read=48, client=(48, 48, "random_bytes"), server=(48, 16, "random_bytes")):
        def body(text: str, place: tuple[int, int, str]) -> str:
            return text.format(holder=place[0], offset=place[1], generator=place[2])

        elf = assemble(
            function("read", READ.format(holder=read), exported=True)
            + function("client_handshake", body(CLIENT, client))
            + function("server_handshake", body(SERVER, server))
            + DATA,
            symbols=True,
        )
        names = strings(elf, [CLIENT_SOURCE, SERVER_SOURCE])
        sites = [references(elf, names[source], "rcx") for source in (CLIENT_SOURCE, SERVER_SOURCE)]
        return randoms_layout(elf, elf.functions(["read"])["read"], *sites)

    return layout_of


def test_the_code_that_fills_both_randoms_tells_where_they_are(layout_of):
    assert layout_of() == ObjectLayout(randoms=48, client_random=48, server_random=16)
    elsewhere = layout_of(read=40, client=(40, 64, "random_bytes"), server=(40, 32, "random_bytes"))
    assert elsewhere == ObjectLayout(randoms=40, client_random=64, server_random=32)


@pytest.mark.parametrize(
    "change",
    [
        {"server": (48, 24, "random_bytes")},  # not side by side
        {"server": (40, 16, "random_bytes")},  # not behind the same pointer
        {"server": (48, 16, "other")},  # not filled by the same function
        {"read": 40},  # SSL_read does not know that pointer
    ],
)
def test_what_does_not_agree_proves_nothing(layout_of, change):
    assert layout_of(**change) is None
