# SPDX-License-Identifier: Apache-2.0
"""JA4 and JA4S, of TLS over TCP.

Written after their public descriptions: https://github.com/FoxIO-LLC/ja4/tree/main/technical_details
"""

import hashlib
import struct
from typing import Final

from otel_qtap.handshake.client_hello import ALPN, SERVER_NAME, ClientHello
from otel_qtap.handshake.grease import without_grease
from otel_qtap.handshake.server_hello import ServerHello

_VERSIONS: Final = {0x0300: "s3", 0x0301: "10", 0x0302: "11", 0x0303: "12", 0x0304: "13"}
_UNKNOWN_VERSION: Final = "00"
_NO_PROTOCOL: Final = "00"
_NOTHING: Final = "000000000000"
_MOST: Final = 99


def ja4(hello: ClientHello) -> str:
    """The client's fingerprint; empty where its hello is not whole."""
    if not hello.whole:
        return ""
    ciphers, extensions = without_grease(hello.ciphers), without_grease(hello.extensions)
    version = max(without_grease(hello.versions), default=hello.version)
    destination = "d" if SERVER_NAME in extensions else "i"
    counts = f"{_count(ciphers)}{_count(extensions)}"
    rest = _joined(sorted(kind for kind in extensions if kind not in {SERVER_NAME, ALPN}))
    algorithms = _joined(without_grease(hello.signature_algorithms))
    if rest and algorithms:
        rest = f"{rest}_{algorithms}"
    head = f"t{_version(version)}{destination}{counts}{_ends(hello.protocols)}"
    return f"{head}_{_digest(_joined(sorted(ciphers)))}_{_digest(rest)}"


def ja4s(hello: ServerHello) -> str:
    """The server's fingerprint; empty where its hello is not whole."""
    if not hello.whole or hello.cipher is None:
        return ""
    extensions = without_grease(hello.extensions)
    head = f"t{_version(hello.version)}{_count(extensions)}{_ends(hello.protocols)}"
    return f"{head}_{hello.cipher:04x}_{_digest(_joined(extensions))}"


def _version(version: int) -> str:
    return _VERSIONS.get(version, _UNKNOWN_VERSION)


def _count(values: list[int]) -> str:
    return f"{min(len(values), _MOST):02}"


def _ends(protocols: tuple[bytes, ...]) -> str:
    """First and last character of the first protocol, or of its digits where one is not alphanumeric."""
    first = protocols[0] if protocols else b""
    if not first:
        return _NO_PROTOCOL
    text = first.decode("latin-1") if first[:1].isalnum() and first[-1:].isalnum() else first.hex()
    return text[0] + text[-1]


def _joined(values: list[int]) -> str:
    return struct.pack(f">{len(values)}H", *values).hex(",", 2)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12] if text else _NOTHING
