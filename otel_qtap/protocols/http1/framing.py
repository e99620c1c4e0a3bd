# SPDX-License-Identifier: Apache-2.0
"""How long a message's body is: RFC 9112 section 6.3, read strictly.

The rules by their numbers there: (1) HEAD, 1xx, 204, 304; (2) CONNECT with 2xx; (3) Transfer-Encoding
beside Content-Length; (4) Transfer-Encoding; (5) invalid Content-Length; (6) Content-Length; (7) and
(8) neither. Where a strict reader closes the connection, the body's end is not known: INVALID.
"""

from enum import Enum

from otel_qtap.model.exchange import Incomplete
from otel_qtap.protocols.http1.message import Message

MAX_CONTENT_LENGTH_DIGITS = 18
"""Below 2**63; longer numbers are an attack or a mistake (RFC 9110 8.6: prevent overflow)."""


class Framing(Enum):
    """What follows a head."""

    NOTHING = "nothing"
    LENGTH = "length"
    """Content of the length ``Message.content_length``."""
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until_close"
    SWITCH = "switch"
    """Another protocol: 101, or 2xx to CONNECT."""
    INVALID = "invalid"
    """Faulty framing: nobody can know where the next message begins."""


def request_framing(request: Message) -> Framing:
    """Framing of a request, from its fields. A conflict is noted as a flaw of the message."""
    fields = request.fields
    if b"transfer-encoding" in fields:
        framing = _by_transfer_encoding(request)
        # (4): a request whose last coding is not chunked cannot be framed; the server answers 400.
        return Framing.INVALID if framing is Framing.UNTIL_CLOSE else framing
    if b"content-length" in fields:
        return _by_content_length(request)
    return Framing.NOTHING


def response_framing(response: Message, request_method: bytes) -> Framing:
    """Framing of a response to a request with ``request_method`` (empty when it was not seen)."""
    status = response.status
    if status == 101 or (request_method == b"CONNECT" and 200 <= status < 300):
        return Framing.SWITCH
    if request_method == b"HEAD" or status < 200 or status in (204, 304):
        return Framing.NOTHING
    fields = response.fields
    if b"transfer-encoding" in fields:
        return _by_transfer_encoding(response)
    if b"content-length" in fields:
        return _by_content_length(response)
    return Framing.UNTIL_CLOSE


def transfer_codings(message: Message) -> list[bytes]:
    """Lower-case names of the transfer codings in the order in which they were applied."""
    value = message.fields.get(b"transfer-encoding", b"").lower()
    return [coding for item in value.split(b",") if (coding := item.partition(b";")[0].strip(b" \t"))]


def _by_transfer_encoding(message: Message) -> Framing:
    codings = transfer_codings(message)
    if message.version == "1.0" or not codings or codings.count(b"chunked") > 1:
        # RFC 9112 6.1: faulty in HTTP/1.0; 7.1: chunked is applied at most once.
        return Framing.INVALID
    if b"content-length" in message.fields:
        # (3): Transfer-Encoding overrides, but this ought to be handled as an error.
        message.flaw(Incomplete.MALFORMED)
    return Framing.CHUNKED if codings[-1] == b"chunked" else Framing.UNTIL_CLOSE


def _by_content_length(message: Message) -> Framing:
    """(5), (6): one number, or the same number several times."""
    value = message.fields[b"content-length"]
    if not value.isdigit():
        first, *others = (item.strip(b" \t") for item in value.split(b","))
        if not first.isdigit() or any(other != first for other in others):
            return Framing.INVALID
        value = first
    if len(value) > MAX_CONTENT_LENGTH_DIGITS:
        return Framing.INVALID
    message.content_length = int(value)
    return Framing.LENGTH if message.content_length else Framing.NOTHING
