# SPDX-License-Identifier: Apache-2.0
"""Where an OpenSSL hands ciphertext on: ``BIO_write`` of its libcrypto, or of the file that holds both.

It is probed only in processes with connections whose sockets nothing else tells (bpf/ciphertext.c).
"""

from otel_qtap.probes.spec import DataPath, Hook, ProbeFunction, TlsLibrary

LIBRARY = TlsLibrary(
    name="ciphertext",
    library_id=0,
    path_marks=("libcrypto", ".so"),
    data_paths=(
        DataPath(
            inner=(),
            public=(ProbeFunction(symbol="BIO_write", hook=Hook.BIO_WRITE, nargs=3, needs_return=False),),
        ),
    ),
    lifecycle=(),
)
