# SPDX-License-Identifier: Apache-2.0
"""ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 5077)."""

from contextlib import suppress
from typing import Any, Final, NamedTuple

from otel_qtap.handshake.extensions import read_extensions
from otel_qtap.handshake.protocols import read_protocols
from otel_qtap.handshake.wire import CutOffError, Reader, numbers

SERVER_NAME: Final = 0
SUPPORTED_GROUPS: Final = 10
POINT_FORMATS: Final = 11
SIGNATURE_ALGORITHMS: Final = 13
ALPN: Final = 16
SESSION_TICKET: Final = 35
SUPPORTED_VERSIONS: Final = 43

_READ: Final = frozenset(
    {SERVER_NAME, SUPPORTED_GROUPS, POINT_FORMATS, SIGNATURE_ALGORITHMS, ALPN, SESSION_TICKET}
    | {SUPPORTED_VERSIONS}
)
_RANDOM_BYTES: Final = 32
_HOST_NAME: Final = 0
_LONGEST_NAME: Final = 255
_MOST_NAMES: Final = 8
"""Of servers; other kinds than names of hosts were never defined."""


class ClientHello(NamedTuple):
    """What a client offers, in its order, with whatever it sent as GREASE."""

    version: int = 0
    """The old field, which TLS 1.3 freezes at 1.2."""
    session_id: bytes = b""
    ciphers: tuple[int, ...] = ()
    extensions: tuple[int, ...] = ()
    """Their types."""
    groups: tuple[int, ...] = ()
    point_formats: tuple[int, ...] = ()
    signature_algorithms: tuple[int, ...] = ()
    versions: tuple[int, ...] = ()
    """Of the extension supported_versions."""
    server_name: str = ""
    protocols: tuple[bytes, ...] = ()
    has_ticket: bool = False
    """Whether it brings a session ticket, of TLS 1.2 or older."""
    whole: bool = False
    """Whether all of it was there: without, there are no fingerprints."""


_Fields = dict[str, Any]
"""Of a ClientHello, as far as they were read."""


def read_client_hello(body: bytes, *, whole: bool = True) -> ClientHello:
    """As much of the message as can be read; ``whole``: its body is not cut off."""
    fields: _Fields = {}
    with suppress(CutOffError):
        fields["whole"] = _read_message(fields, Reader(body)) and whole
    return ClientHello(**fields)


def _read_message(fields: _Fields, reader: Reader) -> bool:
    """Read all fields; returns whether the extensions are all there."""
    fields["version"] = reader.number(2)
    reader.take(_RANDOM_BYTES)
    fields["session_id"] = reader.vector(1)
    fields["ciphers"] = numbers(reader.vector(2))
    reader.vector(1)  # compression methods
    if not reader.left:  # no extensions at all, which SSL 3 and TLS 1.0 allow
        return True
    data, has_all = reader.available_vector(2)
    extensions = read_extensions(data, _READ)
    fields["extensions"] = extensions.types
    for kind, content in extensions.contents.items():
        with suppress(CutOffError):
            _read_extension(fields, kind, content)
    return has_all and extensions.whole


def _read_extension(fields: _Fields, kind: int, content: bytes) -> None:
    if kind == SERVER_NAME:
        fields["server_name"] = _host_name(content)
    elif kind == SUPPORTED_GROUPS:
        fields["groups"] = numbers(Reader(content).vector(2))
    elif kind == POINT_FORMATS:
        fields["point_formats"] = tuple(Reader(content).vector(1))
    elif kind == SIGNATURE_ALGORITHMS:
        fields["signature_algorithms"] = numbers(Reader(content).vector(2))
    elif kind == ALPN:
        fields["protocols"] = read_protocols(content)
    elif kind == SESSION_TICKET:
        fields["has_ticket"] = bool(content)
    elif kind == SUPPORTED_VERSIONS:
        fields["versions"] = numbers(Reader(content).vector(1))


def _host_name(content: bytes) -> str:
    """The name asked for; empty where it is none that a host can have."""
    names = Reader(Reader(content).vector(2))
    for _ in range(_MOST_NAMES):
        kind, name = names.number(1), names.vector(2)
        if kind == _HOST_NAME:
            text = name.decode("ascii", "replace")
            is_name = len(name) <= _LONGEST_NAME and all(each.isalnum() or each in "-._" for each in text)
            return text if is_name and text.isascii() else ""
    return ""
