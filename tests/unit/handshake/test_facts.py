# SPDX-License-Identifier: Apache-2.0
"""Real handshakes of OpenSSL, described as OpenSSL itself describes them."""

import hashlib
import ssl
from itertools import product

import pytest

from otel_qtap.handshake.facts import handshake_facts
from otel_qtap.model.handshake import HandshakeFacts
from tests.support.memory_handshake import Handshake, client_context, server_context, shake_hands
from tests.support.pki import Pki
from tests.support.tls_wire import alpn, client_hello, message, record, server_hello

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def facts_of(handshake: Handshake) -> HandshakeFacts:
    return handshake_facts(handshake.from_client, handshake.from_server, timestamp_ns=7)


def test_tls_1_3(pki: Pki) -> None:
    handshake = shake_hands(client_context(pki, TLS_1_3), server_context(pki))
    facts = facts_of(handshake)
    assert (facts.protocol, facts.version, facts.timestamp_ns) == ("tls", "1.3", 7)
    assert facts.cipher == handshake.client.cipher()[0]  # type: ignore[index]
    assert facts.curve == "x25519"
    assert facts.next_protocol == ""
    assert facts.resumed is False
    assert facts.server_name == "example.com"
    assert facts.offered_protocols == ("h2", "http/1.1")
    assert facts.cipher in facts.offered_ciphers
    assert facts.client_ja4.startswith("t13d")
    assert facts.server_ja4s == "t130200_1302_a56c5b993250"
    assert len(facts.client_ja3) == len(facts.server_ja3s) == 32
    assert (facts.client_certificate, facts.server_certificate) == (None, None)


def test_tls_1_2_shows_protocol_and_certificates(pki: Pki) -> None:
    client = client_context(pki, TLS_1_2, with_certificate=True)
    handshake = shake_hands(client, server_context(pki, asks=True))
    facts = facts_of(handshake)
    assert (facts.protocol, facts.version) == ("tls", "1.2")
    assert facts.cipher.startswith("TLS_ECDHE_")
    assert facts.curve == "x25519"
    assert facts.next_protocol == handshake.client.selected_alpn_protocol() == "http/1.1"
    assert facts.resumed is False
    assert facts.server_ja4s.startswith("t12")
    for end, certificate in (
        (handshake.client, facts.server_certificate),
        (handshake.server, facts.client_certificate),
    ):
        der = end.getpeercert(binary_form=True)
        assert der
        assert certificate
        assert certificate.sha256 == hashlib.sha256(der).hexdigest().upper()
        assert certificate.subject
        assert certificate.not_before < certificate.not_after


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_a_session_that_is_taken_up_again(pki: Pki, version: ssl.TLSVersion) -> None:
    client, server = client_context(pki, version), server_context(pki)
    first = shake_hands(client, server)
    second = shake_hands(client, server, session=first.client.session)
    assert second.client.session_reused
    assert [facts_of(each).resumed for each in (first, second)] == [False, True]


def test_a_request_to_try_again_is_not_the_answer(pki: Pki) -> None:
    handshake = shake_hands(client_context(pki, TLS_1_3), server_context(pki, curve="secp384r1"))
    assert len(handshake.from_client) == 3
    facts = facts_of(handshake)
    assert facts.curve == "secp384r1"
    plain = facts_of(shake_hands(client_context(pki, TLS_1_3), server_context(pki)))
    assert facts.client_ja4 == plain.client_ja4
    assert facts.server_ja4s == plain.server_ja4s


def test_each_end_alone(pki: Pki) -> None:
    handshake = shake_hands(client_context(pki, TLS_1_2), server_context(pki))
    offer = handshake_facts(handshake.from_client, [])
    assert (offer.version, offer.cipher, offer.resumed, offer.server_name) == ("", "", None, "example.com")
    answer = handshake_facts([], handshake.from_server)
    assert (answer.version, answer.resumed, answer.client_ja3, answer.server_name) == ("1.2", False, "", "")
    assert answer.server_certificate


def test_records_whose_headers_were_read_apart(pki: Pki) -> None:
    handshake = shake_hands(client_context(pki, TLS_1_2), server_context(pki))

    def bodies(flights: list[bytes]) -> list[bytes]:
        data, found = b"".join(flights), []
        while data and data[0] == 22:
            end = 5 + int.from_bytes(data[3:5])
            found.append(data[5:end])
            data = data[end:]
        return found

    apart = handshake_facts(bodies(handshake.from_client), bodies(handshake.from_server), timestamp_ns=7)
    assert apart == facts_of(handshake)


@pytest.mark.parametrize(
    ("offered", "ticket", "chosen", "resumed"),
    [
        (b"same", False, b"same", True),
        (b"same", True, b"other", False),
        (b"", True, b"", None),
        (b"", False, b"new", False),
    ],
)
def test_what_tells_that_a_session_is_taken_up_again(
    offered: bytes, ticket: bool, chosen: bytes, resumed: bool | None
) -> None:
    hello = client_hello([(35, b"t" if ticket else b"")], session_id=offered)
    answer = server_hello([alpn(b"h2")], session_id=chosen)
    facts = handshake_facts([message(1, hello)], [message(2, answer)])
    assert facts.resumed is resumed


def test_connections_of_one_client_share_what_it_offers_each_time(pki: Pki) -> None:
    client, server = client_context(pki, TLS_1_2), server_context(pki)
    first, second = (facts_of(shake_hands(client, server)) for _ in range(2))
    assert first.offered_ciphers is second.offered_ciphers
    assert first.client_ja4 is second.client_ja4
    assert first.server_certificate is second.server_certificate


def test_a_cipher_without_a_name_is_not_told() -> None:
    facts = handshake_facts([], [record(message(2, server_hello(cipher=0xBEEF)))])
    assert (facts.version, facts.cipher) == ("1.2", "")


def test_cut_off_anywhere_it_tells_nothing_wrong(pki: Pki) -> None:
    handshake = shake_hands(client_context(pki, TLS_1_2), server_context(pki))
    whole = facts_of(handshake)
    [hello, *_], [flight, *_] = handshake.from_client, handshake.from_server
    for cut, name in product(range(len(flight)), ("cipher", "next_protocol", "server_ja3s", "curve")):
        facts = handshake_facts([hello[:cut]], [flight[:cut]])
        assert getattr(facts, name) in {"", getattr(whole, name)}
        assert facts.server_certificate in {None, whole.server_certificate}
