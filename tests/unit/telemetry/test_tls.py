# SPDX-License-Identifier: Apache-2.0
from otel_qtap.handshake.facts import summary_of
from otel_qtap.model.handshake import CertificateFacts, HandshakeFacts, HandshakeSummary
from otel_qtap.telemetry.tls import event_attributes, span_attributes

CERTIFICATE = CertificateFacts(
    sha256="AB" * 32,
    subject="CN=shop.example",
    issuer="CN=ca",
    not_before="2026-01-01T00:00:00.000Z",
    not_after="2027-01-01T00:00:00.000Z",
)
FACTS = HandshakeFacts(
    protocol="tls",
    version="1.2",
    cipher="TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    curve="x25519",
    next_protocol="http/1.1",
    resumed=False,
    server_name="shop.example",
    offered_protocols=("h2", "http/1.1"),
    offered_ciphers=("TLS_AES_128_GCM_SHA256", "0xBEEF"),
    client_ja3="a" * 32,
    client_ja4="t13d",
    server_ja3s="b" * 32,
    server_ja4s="t12",
    client_certificate=CERTIFICATE,
    server_certificate=CERTIFICATE,
)
ON_SPANS = {
    "tls.protocol.name": "tls",
    "tls.protocol.version": "1.2",
    "tls.cipher": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "tls.next_protocol": "http/1.1",
    "tls.resumed": False,
    "qtap.tls.client.server_name": "shop.example",
}


def test_spans_have_what_is_short() -> None:
    assert span_attributes(summary_of(FACTS)) == ON_SPANS


def test_the_event_has_all() -> None:
    def certificate(end: str) -> dict[str, str]:
        return {
            f"tls.{end}.subject": "CN=shop.example",
            f"tls.{end}.issuer": "CN=ca",
            f"tls.{end}.not_before": "2026-01-01T00:00:00.000Z",
            f"tls.{end}.not_after": "2027-01-01T00:00:00.000Z",
            f"tls.{end}.hash.sha256": "AB" * 32,
        }

    assert event_attributes(summary_of(FACTS), FACTS) == {
        **ON_SPANS,
        "server.address": "shop.example",
        "tls.curve": "x25519",
        "qtap.tls.client.next_protocols": ("h2", "http/1.1"),
        "tls.client.supported_ciphers": ("TLS_AES_128_GCM_SHA256", "0xBEEF"),
        "tls.client.ja3": "a" * 32,
        "qtap.tls.client.ja4": "t13d",
        "tls.server.ja3s": "b" * 32,
        "qtap.tls.server.ja4s": "t12",
        **certificate("client"),
        **certificate("server"),
    }


def test_where_the_rest_is_gone_the_event_has_what_spans_have() -> None:
    assert event_attributes(summary_of(FACTS), None) == {**ON_SPANS, "server.address": "shop.example"}


def test_the_event_tells_how_much_of_an_offer_it_leaves_out() -> None:
    facts = HandshakeFacts(
        offered_protocols=("h2",), protocols_omitted=7, offered_ciphers=("0xBEEF",), ciphers_omitted=4000
    )
    assert event_attributes(summary_of(facts), facts) == {
        "qtap.tls.client.next_protocols": ("h2",),
        "qtap.tls.client.next_protocols_omitted": 7,
        "tls.client.supported_ciphers": ("0xBEEF",),
        "qtap.tls.client.supported_ciphers_omitted": 4000,
    }


def test_what_is_not_known_is_absent() -> None:
    assert span_attributes(HandshakeSummary()) == {}
    assert event_attributes(HandshakeSummary(), HandshakeFacts()) == {}
    only_digest = HandshakeFacts(server_certificate=CertificateFacts(sha256="CD"))
    assert event_attributes(summary_of(only_digest), only_digest) == {"tls.server.hash.sha256": "CD"}
