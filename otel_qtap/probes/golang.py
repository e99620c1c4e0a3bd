# SPDX-License-Identifier: Apache-2.0
"""Go's crypto/tls, which is part of the executable that uses it.

``Read`` and ``Write`` of ``crypto/tls.(*Conn)`` carry all plaintext, HTTP/2 included; one of the handshake's
two methods runs once a connection. They are found in the table that the runtime has of its functions.
"""

from otel_qtap.probes.spec import Signs, TlsLibrary

READ = "crypto/tls.(*Conn).Read"
WRITE = "crypto/tls.(*Conn).Write"
HANDSHAKES = ("crypto/tls.(*Conn).clientHandshake", "crypto/tls.(*Conn).serverHandshake")

LIBRARY = TlsLibrary(
    name="go",
    library_id=8,
    path_marks=(),
    signs=Signs(strings=(READ.encode() + b"\0",)),
    data_paths=(),
    lifecycle=(),
)
