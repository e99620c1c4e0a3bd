# SPDX-License-Identifier: Apache-2.0
"""TLS records to handshake messages (RFC 8446 sections 4 and 5.1), as long as they are in clear."""

from typing import Final, NamedTuple

CLIENT_HELLO: Final = 1
SERVER_HELLO: Final = 2
CERTIFICATE: Final = 11
SERVER_KEY_EXCHANGE: Final = 12

_HANDSHAKE: Final = 22
_RECORD_HEADER: Final = 5
_MESSAGE_HEADER: Final = 4
_MOST_MESSAGES: Final = 32
"""Of one send or receive: a flight has seven at most."""


class Message(NamedTuple):
    """One handshake message; ``whole``: its body is not cut off."""

    type: int
    body: bytes
    whole: bool


def handshake_messages(data: bytes) -> list[Message]:
    """The messages at the start of one send or receive.

    ``data`` begins with a record, or with a message whose record's header was received before. A message
    may go over several records. The first record of another kind ends what is in clear: it changes the
    cipher, or is encrypted.
    """
    return _messages(_payload(data) if _is_record(data, 0) else data)


def _is_record(data: bytes, at: int) -> bool:
    # No handshake message has type 22 (certificate_status) first in a flight.
    return len(data) >= at + 2 and data[at] == _HANDSHAKE and data[at + 1] == 3


def _payload(data: bytes) -> bytes:
    """The bytes of consecutive handshake records, without their headers."""
    parts: list[bytes] = []
    at = 0
    while _is_record(data, at) and at + _RECORD_HEADER <= len(data):
        end = at + _RECORD_HEADER + int.from_bytes(data[at + 3 : at + 5])
        parts.append(data[at + _RECORD_HEADER : end])
        if end == at + _RECORD_HEADER:  # empty ones are forbidden
            break
        at = end
    return b"".join(parts)


def _messages(data: bytes) -> list[Message]:
    found: list[Message] = []
    at = 0
    while at + _MESSAGE_HEADER <= len(data) and len(found) < _MOST_MESSAGES:
        start = at + _MESSAGE_HEADER
        end = start + int.from_bytes(data[at + 1 : start])
        found.append(Message(data[at], data[start:end], whole=end <= len(data)))
        at = end
    return found
