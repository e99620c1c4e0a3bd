# SPDX-License-Identifier: Apache-2.0
from otel_qtap.handshake.client_hello import ClientHello
from otel_qtap.handshake.ja3 import ja3, ja3s
from otel_qtap.handshake.server_hello import ServerHello


def listed(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("-")))


CHROME = ClientHello(
    version=771,
    ciphers=listed("4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53"),
    extensions=listed("45-51-16-65037-23-17613-0-11-10-43-65281-35-18-5-13-27"),
    groups=(4588, 29, 23, 24),
    point_formats=(0,),
    whole=True,
)


def test_a_browser_s_fingerprint_is_the_one_that_others_publish() -> None:
    assert ja3(CHROME) == "98487aa16281980e7d1120d399efb6a4"


def test_grease_changes_nothing() -> None:
    hello = ClientHello(
        version=771,
        ciphers=(0x0A0A, *CHROME.ciphers),
        extensions=(0x1A1A, *CHROME.extensions, 0xFAFA),
        groups=(0x2A2A, *CHROME.groups),
        point_formats=(0,),
        whole=True,
    )
    assert ja3(hello) == ja3(CHROME)


def test_the_example_of_the_method_s_authors() -> None:
    hello = ClientHello(
        version=769,
        ciphers=listed("47-53-5-10-49161-49162-49171-49172-50-56-19-4"),
        extensions=(0, 10, 11),
        groups=(23, 24, 25),
        point_formats=(0,),
        whole=True,
    )
    assert ja3(hello) == "ada70206e40642a3e4461f35503241d5"
    bare = ClientHello(version=769, ciphers=listed("4-5-10-9-100-98-3-6-19-18-99"), whole=True)
    assert ja3(bare) == "de350869b8c85de67a350c8d186f11e6"


def test_a_server_s_example_of_the_method_s_authors() -> None:
    hello = ServerHello(legacy_version=769, cipher=47, extensions=(65281, 0, 11, 35, 5, 16), whole=True)
    assert ja3s(hello) == "836ce314215654b5b1f85f97c73e506f"


def test_a_hello_that_is_cut_off_has_none() -> None:
    assert ja3(ClientHello()) == ""
    assert ja3s(ServerHello(cipher=47)) == ""
