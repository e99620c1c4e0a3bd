# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.handshake.client_hello import ClientHello, read_client_hello
from tests.support.tls_wire import alpn, client_hello, numbers, server_name, vector

EXTENSIONS = [
    (0x0A0A, b""),
    server_name(b"shop.example"),
    (10, vector(2, numbers([0x1D, 0x17]))),
    (11, vector(1, b"\0\1")),
    (13, vector(2, numbers([0x0403, 0x0804]))),
    alpn(b"h2", b"http/1.1"),
    (35, b"ticket"),
    (43, vector(1, numbers([0x0304, 0x0303]))),
]
BODY = client_hello(EXTENSIONS, ciphers=[0x1301, 0xC02F], session_id=b"session")


def test_all_that_a_client_offers_is_read() -> None:
    assert read_client_hello(BODY) == ClientHello(
        version=0x0303,
        session_id=b"session",
        ciphers=(0x1301, 0xC02F),
        extensions=(0x0A0A, 0, 10, 11, 13, 16, 35, 43),
        groups=(0x1D, 0x17),
        point_formats=(0, 1),
        signature_algorithms=(0x0403, 0x0804),
        versions=(0x0304, 0x0303),
        server_name="shop.example",
        protocols=(b"h2", b"http/1.1"),
        has_ticket=True,
        whole=True,
    )


def test_old_clients_send_no_extensions() -> None:
    hello = read_client_hello(client_hello(version=0x0301))
    assert (hello.version, hello.extensions, hello.whole) == (0x0301, (), True)


def test_an_empty_ticket_only_asks_for_one() -> None:
    assert not read_client_hello(client_hello([(35, b"")])).has_ticket


@pytest.mark.parametrize("cut", range(len(BODY)))
def test_it_is_cut_off_anywhere(cut: int) -> None:
    hello, whole = read_client_hello(BODY[:cut], whole=False), read_client_hello(BODY)
    assert not hello.whole
    assert hello.server_name in {"", whole.server_name}
    assert hello.ciphers in {(), whole.ciphers}
    assert whole.extensions[: len(hello.extensions)] == hello.extensions


@pytest.mark.parametrize(
    "name", [b"", b"a b", b"caf\xc3\xa9.example", b"x" * 256, b"line\nbreak", b"a/b", b"\0", b"user@host"]
)
def test_a_name_that_no_host_has_is_left_out(name: bytes) -> None:
    assert read_client_hello(client_hello([server_name(name)])).server_name == ""


def test_names_of_other_kinds_are_passed_over() -> None:
    kind, content = server_name(b"h.example")
    other = vector(2, b"\7" + vector(2, b"other") + content[2:])
    assert read_client_hello(client_hello([(kind, other)])).server_name == "h.example"


def test_an_extension_of_wrong_form_leaves_the_others_alone() -> None:
    hello = read_client_hello(client_hello([(0, b"\xff"), (10, b"\xff\xff"), alpn(b"h2")]))
    assert (hello.whole, hello.protocols, hello.groups) == (True, (b"h2",), ())


def test_behind_many_names_of_other_kinds_none_is_looked_for() -> None:
    kind, content = server_name(b"h.example")
    many = vector(2, (b"\7" + vector(2, b"")) * 4000 + content[2:])
    assert read_client_hello(client_hello([(kind, many)])).server_name == ""
