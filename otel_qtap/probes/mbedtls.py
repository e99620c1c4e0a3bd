# SPDX-License-Identifier: Apache-2.0
"""Mbed TLS 2.x and 3.x as a shared library (lighttpd, libgit2, privoxy)."""

from otel_qtap.probes.spec import Count, DataPath, Hook, ProbeFunction, Signs, TlsLibrary

LIBRARY = TlsLibrary(
    name="mbedtls",
    library_id=5,
    path_marks=("libmbedtls", ".so"),
    signs=Signs(symbols=(("mbedtls_ssl_read", "mbedtls_ssl_write"),)),
    data_paths=(
        DataPath(
            inner=(),
            public=(ProbeFunction(symbol="mbedtls_ssl_read", hook=Hook.READ, nargs=3, needs_return=True),),
        ),
        DataPath(
            inner=(),
            public=(ProbeFunction(symbol="mbedtls_ssl_write", hook=Hook.WRITE, nargs=3, needs_return=True),),
        ),
    ),
    lifecycle=(
        ProbeFunction(
            symbol="mbedtls_ssl_handshake",
            hook=Hook.HANDSHAKE,
            count=Count.NONE,
            nargs=1,
            needs_return=True,
        ),
        ProbeFunction(symbol="mbedtls_ssl_close_notify", hook=Hook.SHUTDOWN, nargs=1, needs_return=False),
        ProbeFunction(symbol="mbedtls_ssl_session_reset", hook=Hook.CLEAR, nargs=1, needs_return=False),
        ProbeFunction(symbol="mbedtls_ssl_free", hook=Hook.FREE, nargs=1, needs_return=False),
    ),
)
