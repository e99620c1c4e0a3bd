# SPDX-License-Identifier: Apache-2.0
"""NSS, whose TLS library is ``libssl3.so`` (libcurl-nss, Firefox, Thunderbird, LibreOffice).

What programs call (``PR_Read`` and the like) works on any descriptor. The methods behind it, of descriptors
that speak TLS alone, are local functions: ``discovery.locating.nss`` finds them. The TLS object is the
``sslSocket``.
"""

from otel_qtap.probes.spec import Count, DataPath, Hook, ProbeFunction, Shape, Signs, TlsLibrary

RECEIVE = ProbeFunction(symbol="ssl_SecureRecv", hook=Hook.READ, shape=Shape.NSS, nargs=4, needs_return=True)
SEND = ProbeFunction(symbol="ssl_SecureSend", hook=Hook.WRITE, nargs=3, needs_return=True)
CLOSE = ProbeFunction(symbol="ssl_SecureClose", hook=Hook.FREE, nargs=1, needs_return=False)
HANDSHAKE = ProbeFunction(
    symbol="ssl_Do1stHandshake",
    hook=Hook.HANDSHAKE,
    count=Count.NONE,
    shape=Shape.NSS,
    nargs=1,
    needs_return=True,
)
"""Begins the handshake. Reads and writes go on by it until that is over, ``SSL_ForceHandshake`` does not."""

LIBRARY = TlsLibrary(
    name="nss",
    library_id=4,
    path_marks=("libssl3.so",),
    signs=Signs(symbols=(("SSL_ImportFD", "SSL_ForceHandshake"),)),
    data_paths=(DataPath(inner=(), public=(RECEIVE,)), DataPath(inner=(), public=(SEND,))),
    lifecycle=(HANDSHAKE, CLOSE),
)
