# SPDX-License-Identifier: Apache-2.0
"""The TLS libraries that can be captured. One line a library."""

from otel_qtap.probes import boringssl, gnutls, golang, mbedtls, nss, openssl, s2n, wolfssl
from otel_qtap.probes.spec import TlsLibrary

LIBRARIES: tuple[TlsLibrary, ...] = (
    openssl.LIBRARY,
    boringssl.LIBRARY,
    gnutls.LIBRARY,
    nss.LIBRARY,
    mbedtls.LIBRARY,
    wolfssl.LIBRARY,
    s2n.LIBRARY,
    golang.LIBRARY,
)
