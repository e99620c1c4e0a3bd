# SPDX-License-Identifier: Apache-2.0
"""What was said in clear when a TLS connection was made. Absent facts are empty, or None."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """An end's own certificate, the first of its chain."""

    sha256: str
    """Of its DER form, in uppercase hexadecimal digits."""
    subject: str = ""
    """Distinguished names in the form of RFC 4514."""
    issuer: str = ""
    not_before: str = ""
    """ISO 8601, UTC, to the millisecond."""
    not_after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeSummary:
    """What spans tell of a handshake: little, for it is kept as long as its connection."""

    timestamp_ns: int = 0
    protocol: str = ""
    version: str = ""
    cipher: str = ""
    next_protocol: str = ""
    resumed: bool | None = None
    server_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeFacts:
    """Facts of one handshake, from as much of it as was seen."""

    timestamp_ns: int = 0
    """When the last of it was seen, CLOCK_BOOTTIME."""
    protocol: str = ""
    """``tls`` or ``ssl``."""
    version: str = ""
    """That was agreed on, such as ``1.3``."""
    cipher: str = ""
    """IANA's name of the cipher suite that was agreed on."""
    curve: str = ""
    """Named group of the key exchange."""
    next_protocol: str = ""
    """What ALPN agreed on. In TLS 1.3 it is encrypted."""
    resumed: bool | None = None
    server_name: str = ""
    """The name that the client asked for (SNI)."""
    offered_protocols: tuple[str, ...] = ()
    """What the client offered by ALPN, in its order: the first of it, where it is more than clients offer."""
    protocols_omitted: int = 0
    """How many more it offered."""
    offered_ciphers: tuple[str, ...] = ()
    """As the protocols."""
    ciphers_omitted: int = 0
    client_ja3: str = ""
    client_ja4: str = ""
    server_ja3s: str = ""
    server_ja4s: str = ""
    client_certificate: CertificateFacts | None = None
    server_certificate: CertificateFacts | None = None
