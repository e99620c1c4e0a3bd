# SPDX-License-Identifier: Apache-2.0
"""Application protocols that ALPN names (RFC 7301)."""

from otel_qtap.handshake.wire import CutOffError, Reader


def read_protocols(extension: bytes) -> tuple[bytes, ...]:
    """The protocol names of an ALPN extension, in order."""
    found: list[bytes] = []
    try:
        names = Reader(Reader(extension).available_vector(2)[0])
        while names.left:
            found.append(names.vector(1))
    except CutOffError:
        pass
    return tuple(found)


def protocol_label(name: bytes) -> str:
    """A protocol's name as text; where it is no printable ASCII, in hexadecimal digits."""
    if name.isascii() and (text := name.decode("ascii")).isprintable():
        return text
    return f"0x{name.hex()}"
