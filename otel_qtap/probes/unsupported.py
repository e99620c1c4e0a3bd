# SPDX-License-Identifier: Apache-2.0
"""TLS implementations that are recognised and cannot be captured: so that users are told why."""

from dataclasses import dataclass

from otel_qtap.probes.spec import Signs


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """A TLS implementation, its signs, and what a user is told of it."""

    name: str
    """Short and stable: fit for an attribute's value."""
    reason: str
    signs: Signs


_CAPTURABLE = ("openssl", "boringssl", "gnutls", "nss", "mbedtls", "wolfssl", "s2n", "go")

UNSUPPORTED = (
    Unsupported(
        name="java",
        reason="the Java virtual machine brings TLS of its own (JSSE), which probes cannot reach",
        signs=Signs(symbols=(("JNI_CreateJavaVM",),)),
    ),
    Unsupported(
        name="deno",
        reason="Deno uses rustls, which is not supported",
        signs=Signs(strings=(b"ext:deno_net/",)),
    ),
    Unsupported(
        name="workerd",
        reason="workerd's own build of BoringSSL is not supported",
        signs=Signs(strings=(b"src/workerd/",)),
    ),
    Unsupported(
        name="rustls",
        reason="rustls is not supported",
        signs=Signs(strings=(b"/rustls-0.", b"rustls/src/"), unless=("deno", "workerd")),
    ),
    Unsupported(
        name="aws-lc",
        reason="TLS over AWS-LC is not supported",
        signs=Signs(strings=(b"/aws-lc/", b"aws_lc_0_"), unless=("deno", "rustls", *_CAPTURABLE)),
    ),
    Unsupported(
        name="openssl-without-names",
        reason="OpenSSL before 3.0 is linked in without the names of its functions",
        signs=Signs(strings=(b"ssl/ssl_lib.c\0",), unless=_CAPTURABLE),
    ),
    Unsupported(
        name="quic",
        reason="QUIC (HTTP/3) is not supported",
        signs=Signs(
            symbols=(("ngtcp2_conn_read_pkt_versioned",), ("quiche_conn_recv",), ("MsQuicOpenVersion",)),
            unless=_CAPTURABLE,
        ),
    ),
)
"""In the order in which they are told; ``unless`` may name libraries and those further up."""

UNKNOWN = Unsupported(
    name="unknown",
    reason="it holds an implementation of TLS that is not known",
    signs=Signs(unless=(*_CAPTURABLE, *(entry.name for entry in UNSUPPORTED))),
)
"""What has the words of the protocol and none of the signs of any implementation."""

REASONS = {entry.name: entry.reason for entry in (*UNSUPPORTED, UNKNOWN)}
