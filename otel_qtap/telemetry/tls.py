# SPDX-License-Identifier: Apache-2.0
"""Facts of a TLS handshake as attributes: few and short on each span, all of them on the event."""

from otel_qtap.model.exchange import Attributes
from otel_qtap.model.handshake import CertificateFacts, HandshakeFacts, HandshakeSummary
from otel_qtap.telemetry import names

_CLIENT_CERTIFICATE = (
    names.TLS_CLIENT_SUBJECT,
    names.TLS_CLIENT_ISSUER,
    names.TLS_CLIENT_NOT_BEFORE,
    names.TLS_CLIENT_NOT_AFTER,
    names.TLS_CLIENT_HASH,
)
_SERVER_CERTIFICATE = (
    names.TLS_SERVER_SUBJECT,
    names.TLS_SERVER_ISSUER,
    names.TLS_SERVER_NOT_BEFORE,
    names.TLS_SERVER_NOT_AFTER,
    names.TLS_SERVER_HASH,
)


def span_attributes(summary: HandshakeSummary) -> Attributes:
    """What tells connections of one service apart: each of few values."""
    attributes: Attributes = {
        names.TLS_PROTOCOL_NAME: summary.protocol,
        names.TLS_PROTOCOL_VERSION: summary.version,
        names.TLS_CIPHER: summary.cipher,
        names.TLS_NEXT_PROTOCOL: summary.next_protocol,
        names.TLS_SERVER_NAME: summary.server_name,
    }
    known = {name: value for name, value in attributes.items() if value}
    if summary.resumed is not None:
        known[names.TLS_RESUMED] = summary.resumed
    return known


def event_attributes(summary: HandshakeSummary, facts: HandshakeFacts | None) -> Attributes:
    """All that is known of a handshake; ``facts`` None: that is what spans tell, and no more."""
    attributes = span_attributes(summary)
    if summary.server_name:
        attributes[names.SERVER_ADDRESS] = summary.server_name
    if facts is not None:
        attributes.update(_details(facts))
    return attributes


def _details(facts: HandshakeFacts) -> Attributes:
    attributes: Attributes = {
        names.TLS_CURVE: facts.curve,
        names.TLS_OFFERED_PROTOCOLS: facts.offered_protocols,
        names.TLS_PROTOCOLS_OMITTED: facts.protocols_omitted,
        names.TLS_OFFERED_CIPHERS: facts.offered_ciphers,
        names.TLS_CIPHERS_OMITTED: facts.ciphers_omitted,
        names.TLS_CLIENT_JA3: facts.client_ja3,
        names.TLS_CLIENT_JA4: facts.client_ja4,
        names.TLS_SERVER_JA3S: facts.server_ja3s,
        names.TLS_SERVER_JA4S: facts.server_ja4s,
        **_of_certificate(_CLIENT_CERTIFICATE, facts.client_certificate),
        **_of_certificate(_SERVER_CERTIFICATE, facts.server_certificate),
    }
    return {name: value for name, value in attributes.items() if value}


def _of_certificate(fields: tuple[str, ...], certificate: CertificateFacts | None) -> Attributes:
    if certificate is None:
        return {}
    values = (
        certificate.subject,
        certificate.issuer,
        certificate.not_before,
        certificate.not_after,
        certificate.sha256,
    )
    return dict(zip(fields, values, strict=True))
