# SPDX-License-Identifier: Apache-2.0
"""Protocol versions (RFC 8446 section 4.2.1 and its predecessors)."""

from typing import Final

TLS_1_3: Final = 0x0304

VERSION_NAMES: Final = {
    0x0300: ("ssl", "3"),
    0x0301: ("tls", "1.0"),
    0x0302: ("tls", "1.1"),
    0x0303: ("tls", "1.2"),
    TLS_1_3: ("tls", "1.3"),
}
"""Values of ``tls.protocol.name`` and ``tls.protocol.version``."""
