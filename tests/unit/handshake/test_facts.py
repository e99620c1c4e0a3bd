# SPDX-License-Identifier: Apache-2.0
"""Real handshakes of OpenSSL, described as OpenSSL itself describes them."""

import gc
import hashlib
import random
import ssl
import tracemalloc
from dataclasses import fields
from itertools import product

import pytest

from otel_qtap.handshake.facts import handshake_facts, summary_of
from otel_qtap.model.handshake import HandshakeFacts, HandshakeSummary
from tests.support.memory_handshake import Handshake, client_context, server_context, shake_hands
from tests.support.pki import Pki
from tests.support.tls_wire import alpn, client_hello, message, record, server_hello

KIB = 1 << 10
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


def test_the_summary_has_what_spans_tell(pki: Pki) -> None:
    facts = facts_of(shake_hands(client_context(pki, TLS_1_2), server_context(pki)))
    summary = summary_of(facts)
    for each in fields(HandshakeSummary):
        assert getattr(summary, each.name) == getattr(facts, each.name) not in {None, ""}


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


def large_hello(seed: int) -> bytes:
    """One that offers as much as 16 KB hold, in suites and protocols that nobody knows."""
    draw = random.Random(seed)
    names = [draw.randbytes(6).hex().encode() for _ in range(300)]
    suites = [draw.randrange(0x6000, 0x6A00) for _ in range(6000)]
    return record(message(1, client_hello([alpn(*names)], ciphers=suites)))


def test_of_what_a_client_offers_in_bulk_the_first_is_kept_and_the_rest_counted() -> None:
    suites = [0x0A0A, 0x1301, *range(0x6000, 0x7000)]
    names = [b"h2", b"n" * 255, b"\xff" * 255, *(b"%d" % number for number in range(100))]
    facts = handshake_facts([record(message(1, client_hello([alpn(*names)], ciphers=suites)))], [])
    assert (len(facts.offered_ciphers), facts.ciphers_omitted) == (128, 4097 - 128 - 1)
    assert facts.offered_ciphers[:2] == ("TLS_AES_128_GCM_SHA256", "0x6000")
    assert (len(facts.offered_protocols), facts.protocols_omitted) == (16, 103 - 16)
    assert facts.offered_protocols[:4] == ("h2", "n" * 63 + "…", "0x" + "f" * 61 + "…", "0")


def test_an_ordinary_offer_is_told_whole(pki: Pki) -> None:
    facts = facts_of(shake_hands(client_context(pki, TLS_1_2), server_context(pki)))
    assert (facts.ciphers_omitted, facts.protocols_omitted) == (0, 0)


def test_fingerprints_are_of_all_that_is_offered() -> None:
    suites = list(range(0x6A00, 0x6000, -1))
    kinds = [16, *range(0x5000, 0x5400)]
    extensions = [alpn(*[b"h2"] * 100), *((kind, b"") for kind in kinds[1:])]
    facts = handshake_facts([record(message(1, client_hello(extensions, ciphers=suites)))], [])

    def listed(values: list[int]) -> bytes:
        return ",".join(f"{value:04x}" for value in values).encode()

    told = (f"771,{'-'.join(map(str, suites))},{'-'.join(map(str, kinds))},,").encode()
    assert facts.client_ja3 == hashlib.md5(told, usedforsecurity=False).hexdigest()
    digests = (hashlib.sha256(listed(each)).hexdigest()[:12] for each in (sorted(suites), kinds[1:]))
    assert facts.client_ja4 == "_".join(("t12i9999h2", *digests))


def test_nothing_remembers_large_offers() -> None:
    hellos = [large_hello(seed) for seed in range(20)]
    handshake_facts([hellos[0]], [])  # what is made once
    gc.collect()
    tracemalloc.start()
    try:
        for hello in hellos:
            handshake_facts([hello], [])
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 8 * KIB
    finally:
        tracemalloc.stop()


def test_facts_of_a_large_offer_are_small() -> None:
    hellos = [large_hello(seed) for seed in range(50)]
    gc.collect()
    tracemalloc.start()
    try:
        kept = [handshake_facts([hello], []) for hello in hellos]
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < len(kept) * 12 * KIB
    finally:
        tracemalloc.stop()
