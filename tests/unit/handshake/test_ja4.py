# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.handshake.client_hello import ClientHello
from otel_qtap.handshake.ja4 import ja4, ja4s
from otel_qtap.handshake.server_hello import ServerHello


def listed(text: str) -> tuple[int, ...]:
    return tuple(int(each, 16) for each in text.split(","))


CIPHERS = listed("1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035")
EXTENSIONS = listed("001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015")
ALGORITHMS = listed("0403,0804,0401,0503,0805,0501,0806,0601")


def hello(
    *,
    ciphers: tuple[int, ...] = CIPHERS,
    extensions: tuple[int, ...] = EXTENSIONS,
    algorithms: tuple[int, ...] = ALGORITHMS,
    versions: tuple[int, ...] = (0x0304, 0x0303),
    version: int = 0x0303,
    protocols: tuple[bytes, ...] = (b"h2", b"http/1.1"),
) -> ClientHello:
    return ClientHello(
        version=version,
        ciphers=ciphers,
        extensions=extensions,
        signature_algorithms=algorithms,
        versions=versions,
        protocols=protocols,
        whole=True,
    )


def test_the_specification_s_example() -> None:
    assert ja4(hello()) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_the_specification_s_example_without_signature_algorithms() -> None:
    assert ja4(hello(algorithms=())) == "t13d1516h2_8daaf6152771_6d807ffa2a79"


def test_a_browser_s_fingerprint_is_the_one_that_others_publish() -> None:
    extensions = listed("002d,0033,0010,fe0d,0017,44cd,0000,000b,000a,002b,ff01,0023,0012,0005,000d,001b")
    assert ja4(hello(extensions=extensions)) == "t13d1516h2_8daaf6152771_d8a2da3f94cd"


def test_grease_changes_nothing() -> None:
    greased = hello(
        ciphers=(0x0A0A, *CIPHERS),
        extensions=(0x1A1A, *EXTENSIONS, 0xDADA),
        algorithms=(0x2A2A, *ALGORITHMS),
        versions=(0xFAFA, 0x0304, 0x0303),
    )
    assert ja4(greased) == ja4(hello())


def test_order_counts_for_signature_algorithms_only() -> None:
    assert ja4(hello(ciphers=CIPHERS[::-1], extensions=EXTENSIONS[::-1])) == ja4(hello())
    assert ja4(hello(algorithms=ALGORITHMS[::-1])) != ja4(hello())


def test_without_a_name_the_destination_is_an_address() -> None:
    extensions = tuple(kind for kind in EXTENSIONS if kind)
    assert ja4(hello(extensions=extensions)) == "t13i1515h2_8daaf6152771_e5627efa2ab1"


@pytest.mark.parametrize(
    ("version", "shown"),
    [(0x0304, "13"), (0x0303, "12"), (0x0302, "11"), (0x0301, "10"), (0x0300, "s3"), (0x0999, "00")],
)
def test_the_old_field_has_the_version_where_there_is_no_extension(version: int, shown: str) -> None:
    assert ja4(hello(versions=(), version=version))[1:3] == shown
    assert ja4(hello(versions=(version,), version=0x0302))[1:3] == shown


@pytest.mark.parametrize(
    ("protocols", "shown"),
    [
        ((), "00"),
        ((b"",), "00"),
        ((b"h2",), "h2"),
        ((b"http/1.1",), "h1"),
        ((b"x",), "xx"),
        ((b"\xab",), "ab"),
        ((b"\xab\xcd",), "ad"),
        ((b"\x30\xab",), "3b"),
        ((b"\x30\x31\xab\xcd",), "3d"),
        ((b"\x30\xab\xcd\x31",), "01"),
    ],
)
def test_the_ends_of_the_first_protocol(protocols: tuple[bytes, ...], shown: str) -> None:
    assert ja4(hello(protocols=protocols))[8:10] == shown


def test_counts_have_two_digits_and_nothing_is_twelve_zeros() -> None:
    many = tuple(range(0x1000, 0x1100))
    assert ja4(hello(ciphers=many, extensions=many)).startswith("t13i9999h2_")
    assert ja4(hello(ciphers=(), extensions=())) == "t13i0000h2_000000000000_000000000000"


def test_the_specification_s_example_of_a_server() -> None:
    answer = ServerHello(version=0x0303, cipher=0xC030, extensions=listed("0005,0017,ff01,0000"), whole=True)
    assert ja4s(answer) == "t120400_c030_4e8089b08790"


def test_a_server_of_tls_1_3() -> None:
    answer = ServerHello(version=0x0304, cipher=0x1301, extensions=(0x2B, 0x33), whole=True)
    assert ja4s(answer) == "t130200_1301_a56c5b993250"


def test_a_hello_that_is_cut_off_has_none() -> None:
    assert ja4(ClientHello()) == ""
    assert ja4s(ServerHello(cipher=1)) == ""
