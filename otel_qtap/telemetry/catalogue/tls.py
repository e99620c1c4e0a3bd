# SPDX-License-Identifier: Apache-2.0
"""What spans and the event of a handshake tell of TLS, beside the library."""

from otel_qtap.telemetry import names
from otel_qtap.telemetry.catalogue.types import DescribedAttribute as Attribute

TLS_SPAN_ATTRIBUTES = (
    Attribute(
        names.TLS_PROTOCOL_NAME, "string", "exchanges whose handshake was seen", "`tls`, or `ssl` for SSL 3."
    ),
    Attribute(
        names.TLS_PROTOCOL_VERSION,
        "string",
        "exchanges whose handshake was seen",
        "Version that was agreed on, such as `1.3`.",
    ),
    Attribute(
        names.TLS_CIPHER,
        "string",
        "exchanges whose handshake was seen",
        "Cipher suite that was agreed on, by IANA's name.",
    ),
    Attribute(
        names.TLS_NEXT_PROTOCOL,
        "string",
        "exchanges over TLS 1.2 or older whose handshake was seen, with ALPN",
        "What ALPN agreed on. TLS 1.3 encrypts it.",
    ),
    Attribute(
        names.TLS_RESUMED,
        "boolean",
        "exchanges whose handshake was seen",
        "Whether an earlier session was taken up again.",
    ),
    Attribute(
        names.TLS_SERVER_NAME,
        "string",
        "exchanges whose handshake was seen, with SNI",
        "Name that the client asked for when the connection was made. The conventions have `server.address` "
        "for it, which on spans is the name of the request.",
    ),
)

_EVENT = names.EVENT_TLS_HANDSHAKE


_CERTIFICATES = {
    "server": (
        names.TLS_SERVER_SUBJECT,
        names.TLS_SERVER_ISSUER,
        names.TLS_SERVER_NOT_BEFORE,
        names.TLS_SERVER_NOT_AFTER,
        names.TLS_SERVER_HASH,
    ),
    "client": (
        names.TLS_CLIENT_SUBJECT,
        names.TLS_CLIENT_ISSUER,
        names.TLS_CLIENT_NOT_BEFORE,
        names.TLS_CLIENT_NOT_AFTER,
        names.TLS_CLIENT_HASH,
    ),
}
_OF_CERTIFICATES = (
    "Distinguished name of the {}'s certificate (RFC 4514).",
    "Distinguished name of the issuer of the {}'s certificate.",
    "When the {}'s certificate begins to be valid (ISO 8601).",
    "When the {}'s certificate ceases to be valid (ISO 8601).",
    "SHA-256 of the {}'s certificate in DER, in uppercase digits.",
)

TLS_EVENT_ATTRIBUTES = (
    Attribute(names.TLS_CURVE, "string", _EVENT, "Named group of the key exchange."),
    Attribute(
        names.TLS_OFFERED_PROTOCOLS,
        "string[]",
        _EVENT,
        "What the client offered by ALPN, in its order: the first 16. An ellipsis ends a name that is "
        "cut after 63 characters.",
    ),
    Attribute(
        names.TLS_PROTOCOLS_OMITTED,
        "int",
        f"{_EVENT}; if any",
        f"How many more than `{names.TLS_OFFERED_PROTOCOLS}` has the client offered.",
    ),
    Attribute(
        names.TLS_OFFERED_CIPHERS,
        "string[]",
        _EVENT,
        "Cipher suites that the client offered, by IANA's names or `0x` and the number, without GREASE: the "
        "first 128. Fingerprints are of all.",
    ),
    Attribute(
        names.TLS_CIPHERS_OMITTED,
        "int",
        f"{_EVENT}; if any",
        f"How many more than `{names.TLS_OFFERED_CIPHERS}` has the client offered.",
    ),
    Attribute(names.TLS_CLIENT_JA3, "string", _EVENT, "JA3 fingerprint of the client."),
    Attribute(names.TLS_CLIENT_JA4, "string", _EVENT, "JA4 fingerprint of the client."),
    Attribute(names.TLS_SERVER_JA3S, "string", _EVENT, "JA3S fingerprint of the server."),
    Attribute(names.TLS_SERVER_JA4S, "string", _EVENT, "JA4S fingerprint of the server."),
    *(
        Attribute(name, "string", f"{_EVENT}; TLS 1.2 or older", description.format(end))
        for end, own in _CERTIFICATES.items()
        for name, description in zip(own, _OF_CERTIFICATES, strict=True)
    ),
)
