# SPDX-License-Identifier: Apache-2.0
"""Application protocols that ALPN names (RFC 7301)."""

from typing import Final

from otel_qtap.handshake.wire import CutOffError, Reader

_LONGEST_LABEL: Final = 64


def read_protocols(extension: bytes) -> tuple[bytes, ...]:
    """The protocol names of an ALPN extension, in order."""
    try:
        names, _ = Reader(extension).available_vector(2)
    except CutOffError:
        return ()
    found: list[bytes] = []
    at = 0
    while at < len(names):
        end = at + 1 + names[at]
        if end > len(names):
            break
        found.append(names[at + 1 : end])
        at = end
    return tuple(found)


def protocol_label(name: bytes) -> str:
    """A protocol's name as text; where it is no printable ASCII, in hexadecimal digits.

    Names may have 255 bytes; the registered ones have a dozen. An ellipsis ends what is cut.
    """
    is_text = name.isascii() and (text := name.decode("ascii")).isprintable()
    label = text if is_text else f"0x{name.hex()}"
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"
