# SPDX-License-Identifier: Apache-2.0
"""ServerKeyExchange of TLS 1.2 and older, as far as it tells the curve (RFC 8422 section 5.4)."""

from typing import Final

_NAMED_CURVE: Final = 3


def curve_of(body: bytes) -> int:
    """The named group of an ECDHE key exchange, 0 where there is none."""
    return int.from_bytes(body[1:3]) if len(body) >= 3 and body[0] == _NAMED_CURVE else 0
