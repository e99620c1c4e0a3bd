# SPDX-License-Identifier: Apache-2.0
"""GnuTLS 3.6.3 and later as a shared library (wget, apt, git, libcurl-gnutls, aria2).

``gnutls_record_recv`` and ``gnutls_record_recv_seq`` end in a local function, ``gnutls_record_send`` in
``gnutls_record_send2``. Data that is held back (``gnutls_record_cork``) counts when it is handed over;
sending it at last, by ``gnutls_record_uncork``, counts nothing. Not captured: packets without a copy
(``gnutls_record_recv_packet``), early data, and what kernel TLS receives.
"""

from otel_qtap.probes.spec import Count, DataPath, Hook, ProbeFunction, Shape, Signs, TlsLibrary

RECEIVE = ProbeFunction(
    symbol="_gnutls_recv_int", hook=Hook.READ, shape=Shape.GNUTLS_RECEIVE, nargs=4, needs_return=True
)
"""A local function: ``discovery.locating.gnutls`` finds it."""

SEND = ProbeFunction(
    symbol="gnutls_record_send2", hook=Hook.WRITE, shape=Shape.GNUTLS_SEND, nargs=3, needs_return=True
)

CALLED = frozenset(("gnutls_record_recv", "gnutls_record_send"))
"""What programs call; some of them look like another library themselves (libgnutls-openssl)."""

LIBRARY = TlsLibrary(
    name="gnutls",
    library_id=3,
    path_marks=("libgnutls", ".so"),
    signs=Signs(symbols=(("gnutls_record_send2", "gnutls_record_recv_seq"),)),
    data_paths=(DataPath(inner=(), public=(RECEIVE,)), DataPath(inner=(), public=(SEND,))),
    lifecycle=(
        ProbeFunction(
            symbol="gnutls_handshake", hook=Hook.HANDSHAKE, count=Count.NONE, nargs=1, needs_return=True
        ),
        ProbeFunction(symbol="gnutls_record_uncork", hook=Hook.FLUSH, nargs=1, needs_return=True),
        ProbeFunction(symbol="gnutls_bye", hook=Hook.SHUTDOWN, nargs=1, needs_return=False),
        ProbeFunction(symbol="gnutls_deinit", hook=Hook.FREE, nargs=1, needs_return=False),
    ),
)
