# SPDX-License-Identifier: Apache-2.0
"""wolfSSL 4.x and 5.x as a shared library (lighttpd, OpenWrt's programs). Peeks are another function."""

from otel_qtap.probes.spec import DataPath, Hook, ProbeFunction, Signs, TlsLibrary

LIBRARY = TlsLibrary(
    name="wolfssl",
    library_id=6,
    path_marks=("libwolfssl", ".so"),
    signs=Signs(symbols=(("wolfSSL_read", "wolfSSL_write"),)),
    data_paths=(
        DataPath(
            inner=(),
            public=(ProbeFunction(symbol="wolfSSL_read", hook=Hook.READ, nargs=3, needs_return=True),),
        ),
        DataPath(
            inner=(),
            public=(ProbeFunction(symbol="wolfSSL_write", hook=Hook.WRITE, nargs=3, needs_return=True),),
        ),
    ),
    lifecycle=(
        ProbeFunction(symbol="wolfSSL_connect", hook=Hook.HANDSHAKE, nargs=1, needs_return=True),
        ProbeFunction(symbol="wolfSSL_accept", hook=Hook.HANDSHAKE, nargs=1, needs_return=True),
        # What reads and writes call where TLS 1.3 alone is spoken.
        ProbeFunction(symbol="wolfSSL_connect_TLSv13", hook=Hook.HANDSHAKE, nargs=1, needs_return=True),
        ProbeFunction(symbol="wolfSSL_accept_TLSv13", hook=Hook.HANDSHAKE, nargs=1, needs_return=True),
        ProbeFunction(symbol="wolfSSL_shutdown", hook=Hook.SHUTDOWN, nargs=1, needs_return=False),
        ProbeFunction(symbol="wolfSSL_clear", hook=Hook.CLEAR, nargs=1, needs_return=False),
        ProbeFunction(symbol="wolfSSL_free", hook=Hook.FREE, nargs=1, needs_return=False),
    ),
)
