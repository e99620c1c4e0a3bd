# SPDX-License-Identifier: Apache-2.0
"""BoringSSL, linked into its users.

SSL_read and SSL_write carry all plaintext; there are no ``_ex`` forms. Stripped files do not tell where
SSL_free and the like are: there, connections that follow each other at one address are told apart by
their hello randoms.
"""

from otel_qtap.probes.openssl import ACCESSORS, LIFECYCLE
from otel_qtap.probes.spec import DataPath, Hook, ProbeFunction, Signs, TlsLibrary


def _data(symbol: str, hook: Hook) -> DataPath:
    return DataPath(inner=(), public=(ProbeFunction(symbol=symbol, hook=hook, nargs=3, needs_return=True),))


LIBRARY = TlsLibrary(
    name="boringssl",
    library_id=2,
    path_marks=(),
    signs=Signs(strings=(b"ssl/ssl_lib.cc\0",)),
    data_paths=(_data("SSL_read", Hook.READ), _data("SSL_write", Hook.WRITE)),
    lifecycle=LIFECYCLE,
    accessors=ACCESSORS,
)
