# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.locating.object_layout import object_layout
from otel_qtap.probes.openssl import LIBRARY
from otel_qtap.probes.spec import UNKNOWN_LAYOUT, ObjectLayout

ROLE = bytes.fromhex("8b4738c3")
CLIENT = bytes.fromhex("488b9760010000 488916 c3")  # mov rdx, [rdi+0x160]; mov [rsi], rdx; ret
SERVER = bytes.fromhex("488b9740010000 488916 c3")
BEHIND = {
    "SSL_get_client_random": bytes.fromhex("488b4730 0f104030 0f1106 c3"),  # at *(object+0x30)+0x30
    "SSL_get_server_random": bytes.fromhex("488b4730 0f104010 0f1106 c3"),
}
UNKNOWN_CALL = bytes.fromhex("e800000000c3")


@pytest.fixture
def layout_of(make_elf, tmp_path):
    def layout_of(functions):
        path = tmp_path / "libssl.so"
        path.write_bytes(make_elf(functions))
        refusals = []
        with ElfFile(str(path)) as elf:
            return object_layout(elf, LIBRARY.accessors, refusals), {item.function for item in refusals}

    return layout_of


def test_role_and_randoms_are_told_by_their_accessors(layout_of):
    functions = {"SSL_is_server": ROLE, "SSL_get_client_random": CLIENT, "SSL_get_server_random": SERVER}
    expected = ObjectLayout(role=0x38, client_random=0x160, server_random=0x140)
    assert layout_of(functions) == (expected, set())


def test_randoms_may_be_behind_a_pointer_and_the_role_one_bit(layout_of):
    functions = {"SSL_is_server": bytes.fromhex("0fb687a4000000 83e001 c3"), **BEHIND}
    expected = ObjectLayout(role=0xA4, role_mask=1, randoms=0x30, client_random=0x30, server_random=0x10)
    assert layout_of(functions) == (expected, set())


@pytest.mark.parametrize(
    "randoms",
    [
        {"SSL_get_client_random": CLIENT},
        {"SSL_get_client_random": CLIENT, "SSL_get_server_random": UNKNOWN_CALL},
        {"SSL_get_client_random": CLIENT, "SSL_get_server_random": CLIENT},  # not side by side
        {**BEHIND, "SSL_get_client_random": CLIENT},  # not in the same place
        {"SSL_get_client_random": ROLE, "SSL_get_server_random": ROLE},  # nothing is copied
    ],
)
def test_randoms_on_which_the_accessors_do_not_agree_are_not_known(layout_of, randoms):
    layout, refused = layout_of({"SSL_is_server": ROLE, **randoms})
    assert layout == ObjectLayout(role=0x38)
    assert refused & {"SSL_get_client_random", "SSL_get_server_random"}


@pytest.mark.parametrize(
    "role",
    ["31c0c3", "488b4738c3", "8b4638c3", "488b47308b4038c3", "8b4738", "0fb64738c3"],
    ids=["constant", "64 bits", "another argument", "behind a pointer", "no return", "a byte"],
)
def test_a_role_that_is_no_word_of_the_object_is_not_known(layout_of, role):
    layout, refused = layout_of({"SSL_is_server": bytes.fromhex(role)})
    assert layout == UNKNOWN_LAYOUT
    assert "SSL_is_server" in refused
