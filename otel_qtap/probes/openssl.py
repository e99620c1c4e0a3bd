# SPDX-License-Identifier: Apache-2.0
"""OpenSSL 1.1.0 to 4.0 as a shared library.

``ssl_read_internal`` and ``ssl_write_internal`` (since 1.1.1) carry every public form: SSL_read and
SSL_write, the ``_ex`` forms, early data and the SSL BIO filter. Peeks take another function and so
are left out. From 3.3 on, where SSL_write_ex2 exists, the write side has a flags argument before
its count pointer.
"""

from otel_qtap.probes.spec import (
    Accessors,
    Count,
    DataPath,
    Hook,
    InnerFunction,
    ProbeFunction,
    Signs,
    TlsLibrary,
)

_READ_STRANGERS = ("SSL_peek", "SSL_peek_ex", "SSL_write", "SSL_write_ex")
_WRITE_STRANGERS = ("SSL_peek", "SSL_peek_ex", "SSL_read", "SSL_read_ex")


def _data(symbol: str, hook: Hook, count: Count, nargs: int) -> ProbeFunction:
    return ProbeFunction(symbol=symbol, hook=hook, count=count, nargs=nargs, needs_return=True)


def _entry(symbol: str, hook: Hook, nargs: int) -> ProbeFunction:
    return ProbeFunction(symbol=symbol, hook=hook, nargs=nargs, needs_return=False)


READ_PATH = DataPath(
    inner=(
        InnerFunction(
            function=_data("ssl_read_internal", Hook.READ, Count.ARG4, 4),
            forwarder="SSL_read_ex",
            callers=("SSL_read", "SSL_read_ex"),
            strangers=_READ_STRANGERS,
        ),
    ),
    public=(
        _data("SSL_read", Hook.READ, Count.RC, 3),
        _data("SSL_read_ex", Hook.READ, Count.ARG4, 4),
    ),
)

WRITE_PATH = DataPath(
    inner=(
        InnerFunction(
            function=_data("ssl_write_internal", Hook.WRITE, Count.ARG5, 5),
            forwarder="SSL_write_ex2",
            callers=("SSL_write", "SSL_write_ex", "SSL_write_ex2"),
            strangers=_WRITE_STRANGERS,
        ),
        InnerFunction(
            function=_data("ssl_write_internal", Hook.WRITE, Count.ARG4, 4),
            forwarder="SSL_write_ex",
            callers=("SSL_write", "SSL_write_ex"),
            strangers=_WRITE_STRANGERS,
        ),
    ),
    public=(
        _data("SSL_write", Hook.WRITE, Count.RC, 3),
        _data("SSL_write_ex", Hook.WRITE, Count.ARG4, 4),
        _data("SSL_write_ex2", Hook.WRITE, Count.ARG5, 5),
    ),
)

LIFECYCLE = (
    ProbeFunction(symbol="SSL_do_handshake", hook=Hook.HANDSHAKE, nargs=1, needs_return=True),
    _entry("SSL_shutdown", Hook.SHUTDOWN, 1),
    _entry("SSL_free", Hook.FREE, 1),
    _entry("SSL_set_fd", Hook.SET_FD, 2),
    _entry("SSL_set_bio", Hook.SET_BIO, 1),
    _entry("SSL_set0_rbio", Hook.SET_BIO, 1),
    _entry("SSL_clear", Hook.CLEAR, 1),
)
ACCESSORS = Accessors(
    role="SSL_is_server", client_random="SSL_get_client_random", server_random="SSL_get_server_random"
)
"""What BoringSSL has kept of it, too."""

LIBRARY = TlsLibrary(
    name="openssl",
    library_id=1,
    path_marks=("libssl", ".so"),
    signs=Signs(
        symbols=(("SSL_read", "SSL_write"),),
        strings=(b"ssl_read_internal\0",),  # the name that its error sites tell (since 3.0)
        unless=("boringssl",),
    ),
    data_paths=(READ_PATH, WRITE_PATH),
    lifecycle=LIFECYCLE,
    accessors=ACCESSORS,
)
