# SPDX-License-Identifier: Apache-2.0
"""ServerHello (RFC 8446 section 4.1.3, RFC 5246 section 7.4.1.3)."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from otel_qtap.handshake.client_hello import ALPN, SUPPORTED_VERSIONS
from otel_qtap.handshake.extensions import read_extensions
from otel_qtap.handshake.protocols import read_protocols
from otel_qtap.handshake.wire import CutOffError, Reader

PRE_SHARED_KEY: Final = 41
KEY_SHARE: Final = 51

_READ: Final = frozenset({SUPPORTED_VERSIONS, KEY_SHARE, ALPN, PRE_SHARED_KEY})
_RANDOM_BYTES: Final = 32
_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a HelloRetryRequest, which asks for another ClientHello (RFC 8446 section 4.1.3)."""


@dataclass(slots=True)
class ServerHello:
    """What a server chose."""

    legacy_version: int = 0
    version: int = 0
    """The one that counts: that of the extension, where it is there."""
    session_id: bytes = b""
    cipher: int | None = None
    extensions: tuple[int, ...] = ()
    """Their types, in order."""
    group: int = 0
    protocols: tuple[bytes, ...] = ()
    """By ALPN, at most one."""
    has_pre_shared_key: bool = False
    is_retry: bool = False
    whole: bool = False


def read_server_hello(body: bytes, *, whole: bool = True) -> ServerHello:
    """As much of the message as can be read; ``whole``: its body is not cut off."""
    hello = ServerHello()
    reader = Reader(body)
    with suppress(CutOffError):
        hello.legacy_version = hello.version = reader.number(2)
        hello.is_retry = reader.take(_RANDOM_BYTES) == _RETRY
        hello.session_id = reader.vector(1)
        hello.cipher = reader.number(2)
        reader.take(1)  # compression method
        if not reader.left:
            hello.whole = whole
            return hello
        data, has_all = reader.available_vector(2)
        extensions = read_extensions(data, _READ)
        hello.extensions = extensions.types
        for kind, content in extensions.contents.items():
            with suppress(CutOffError):
                _read_extension(hello, kind, content)
        hello.whole = whole and has_all and extensions.whole
    return hello


def _read_extension(hello: ServerHello, kind: int, content: bytes) -> None:
    if kind == SUPPORTED_VERSIONS:
        hello.version = Reader(content).number(2)
    elif kind == KEY_SHARE:
        hello.group = Reader(content).number(2)
    elif kind == ALPN:
        hello.protocols = read_protocols(content)
    elif kind == PRE_SHARED_KEY:
        hello.has_pre_shared_key = True
