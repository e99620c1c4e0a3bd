# SPDX-License-Identifier: Apache-2.0
"""Certificate of TLS 1.2 and older (RFC 5246 section 7.4.2). That of TLS 1.3 is encrypted.

X.509 is read by ``cryptography``, imported when the first certificate comes: it takes 10 MiB.
"""

import hashlib
import warnings
from datetime import datetime
from functools import lru_cache
from typing import Final

from otel_qtap.handshake.wire import CutOffError, Reader
from otel_qtap.model.handshake import CertificateFacts

_LONGEST_NAME: Final = 1024
_LARGEST: Final = 16 * 1024
"""No longer is a flight that is followed. It bounds what is remembered as well."""


def first_certificate(body: bytes) -> bytes:
    """The first certificate of the list, in DER; empty where there is none, or not the whole of it."""
    reader = Reader(body)
    try:
        reader.number(3)
        return reader.vector(3)
    except CutOffError:
        return b""


def certificate_facts(der: bytes) -> CertificateFacts:
    """What a certificate says of itself. Of one that cannot be read there is the digest alone."""
    return _remembered(der) if len(der) <= _LARGEST else CertificateFacts(sha256=_digest(der))


@lru_cache(maxsize=128)  # a client has few servers, and a server one certificate
def _remembered(der: bytes) -> CertificateFacts:
    sha256 = _digest(der)
    try:
        # Malformed and outdated forms are warned of, certificate by certificate.
        with warnings.catch_warnings(action="ignore"):
            return _described(der, sha256)
    except Exception:  # of many kinds, late ones too: fields are read when they are asked for
        return CertificateFacts(sha256=sha256)


def _described(der: bytes, sha256: str) -> CertificateFacts:
    from cryptography import x509  # noqa: PLC0415

    certificate = x509.load_der_x509_certificate(der)
    return CertificateFacts(
        sha256=sha256,
        subject=certificate.subject.rfc4514_string()[:_LONGEST_NAME],
        issuer=certificate.issuer.rfc4514_string()[:_LONGEST_NAME],
        not_before=_iso(certificate.not_valid_before_utc),
        not_after=_iso(certificate.not_valid_after_utc),
    )


def _digest(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest().upper()


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"
