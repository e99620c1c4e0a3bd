# SPDX-License-Identifier: Apache-2.0
"""BoringSSL, linked into its users.

SSL_read and SSL_write carry all plaintext; there are no ``_ex`` forms. Stripped files do not tell where
SSL_free and the like are: there, connections that follow each other at one address are told apart by
their hello randoms.
"""

from otel_qtap.probes.spec import Accessors, DataPath, Hook, ProbeFunction, Signs, TlsLibrary


def _data(symbol: str, hook: Hook) -> DataPath:
    return DataPath(inner=(), public=(ProbeFunction(symbol=symbol, hook=hook, nargs=3, needs_return=True),))


def _entry(symbol: str, hook: Hook, nargs: int) -> ProbeFunction:
    return ProbeFunction(symbol=symbol, hook=hook, nargs=nargs, needs_return=False)


LIBRARY = TlsLibrary(
    name="boringssl",
    library_id=2,
    path_marks=(),
    signs=Signs(strings=(b"ssl/ssl_lib.cc\0",)),
    data_paths=(_data("SSL_read", Hook.READ), _data("SSL_write", Hook.WRITE)),
    lifecycle=(
        ProbeFunction(symbol="SSL_do_handshake", hook=Hook.HANDSHAKE, nargs=1, needs_return=True),
        _entry("SSL_shutdown", Hook.SHUTDOWN, 1),
        _entry("SSL_free", Hook.FREE, 1),
        _entry("SSL_set_fd", Hook.SET_FD, 2),
        _entry("SSL_set_bio", Hook.SET_BIO, 1),
        _entry("SSL_set0_rbio", Hook.SET_BIO, 1),
        _entry("SSL_clear", Hook.CLEAR, 1),
    ),
    accessors=Accessors(
        role="SSL_is_server", client_random="SSL_get_client_random", server_random="SSL_get_server_random"
    ),
)
