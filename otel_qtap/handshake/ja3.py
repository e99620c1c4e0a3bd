# SPDX-License-Identifier: Apache-2.0
"""JA3 and JA3S: MD5 of what an end's hello has, as decimal numbers, without GREASE.

https://github.com/salesforce/ja3
"""

import hashlib
from collections.abc import Iterable

from otel_qtap.handshake.client_hello import ClientHello
from otel_qtap.handshake.grease import without_grease
from otel_qtap.handshake.server_hello import ServerHello


def ja3(hello: ClientHello) -> str:
    """The client's fingerprint; empty where its hello is not whole."""
    if not hello.whole:
        return ""
    lists = (hello.ciphers, hello.extensions, hello.groups, hello.point_formats)
    return _digest(f"{hello.version},{','.join(_joined(without_grease(each)) for each in lists)}")


def ja3s(hello: ServerHello) -> str:
    """The server's fingerprint; empty where its hello is not whole."""
    if not hello.whole or hello.cipher is None:
        return ""
    return _digest(f"{hello.legacy_version},{hello.cipher},{_joined(without_grease(hello.extensions))}")


def _joined(values: Iterable[int]) -> str:
    return "-".join(map(str, values))


def _digest(text: str) -> str:
    return hashlib.md5(text.encode("ascii"), usedforsecurity=False).hexdigest()
