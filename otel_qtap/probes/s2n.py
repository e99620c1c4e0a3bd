# SPDX-License-Identifier: Apache-2.0
"""s2n-tls, as a shared library and within others (awscrt, Arrow's S3 client).

``s2n_recv`` does little but call ``s2n_recv_impl``, and has no cheap site. Every form of sending passes
``s2n_sendv_with_offset``, which takes an array of buffers. In awscrt's build the kernel takes no probe there;
its programs call ``s2n_send``.
"""

from otel_qtap.probes.spec import (
    Count,
    DataPath,
    Hook,
    InnerFunction,
    ProbeFunction,
    Shape,
    Signs,
    TlsLibrary,
)

LIBRARY = TlsLibrary(
    name="s2n",
    library_id=7,
    path_marks=("libs2n", ".so"),
    signs=Signs(symbols=(("s2n_recv", "s2n_sendv_with_offset"),)),
    data_paths=(
        DataPath(
            inner=(
                InnerFunction(
                    function=ProbeFunction(
                        symbol="s2n_recv_impl", hook=Hook.READ, nargs=3, needs_return=True
                    ),
                    forwarder="s2n_recv",
                    callers=("s2n_recv",),
                    strangers=("s2n_peek", "s2n_sendv_with_offset"),
                ),
            ),
            public=(ProbeFunction(symbol="s2n_recv", hook=Hook.READ, nargs=3, needs_return=True),),
        ),
        DataPath(
            inner=(),
            public=(
                ProbeFunction(symbol="s2n_send", hook=Hook.WRITE, nargs=3, needs_return=True),
                ProbeFunction(
                    symbol="s2n_sendv_with_offset",
                    hook=Hook.WRITE,
                    shape=Shape.IOVEC,
                    nargs=4,
                    needs_return=True,
                ),
            ),
        ),
    ),
    lifecycle=(
        ProbeFunction(
            symbol="s2n_negotiate", hook=Hook.HANDSHAKE, count=Count.NONE, nargs=1, needs_return=True
        ),
        ProbeFunction(symbol="s2n_shutdown", hook=Hook.SHUTDOWN, nargs=1, needs_return=False),
        ProbeFunction(symbol="s2n_shutdown_send", hook=Hook.SHUTDOWN, nargs=1, needs_return=False),
        ProbeFunction(symbol="s2n_connection_wipe", hook=Hook.CLEAR, nargs=1, needs_return=False),
        ProbeFunction(symbol="s2n_connection_free", hook=Hook.FREE, nargs=1, needs_return=False),
    ),
)
