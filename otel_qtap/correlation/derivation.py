# SPDX-License-Identifier: Apache-2.0
"""Ids that both ends of a TLS connection work out alike, by themselves; docs/correlation.md has the scheme.

Both see the ClientHello's random, in clear also in TLS 1.3 (RFC 8446 4.1.2), and count the same plaintext.
"""

from hashlib import sha256
from typing import Final, NamedTuple

from otel_qtap.model.exchange import Exchange, SpanKind
from otel_qtap.model.identity import ConnectionId, Role

RANDOM_BYTES: Final = 16
"""Bytes 8 to 23 of the random; the others may be the time or a sentinel (RFC 5246 7.4.1.2, 8446 4.1.3)."""

_LABEL: Final = b"otel-qtap/1\0"
_BY_OFFSET: Final = b"\0"
"""The position is a stream offset. HTTP/2 has 1 here, and the stream id as the position."""
_BY_TLS_CLIENT: Final = b"\1" + _BY_OFFSET
_BY_TLS_SERVER: Final = b"\2" + _BY_OFFSET
# Members of an enum cost a look-up on the class each time they are named, and are slow to hash.
_CLIENT: Final = SpanKind.CLIENT
_SERVER: Final = SpanKind.SERVER
_TLS_CLIENT: Final = Role.CLIENT
_TLS_SERVER: Final = Role.SERVER
_ZERO_TRACE_ID: Final = bytes(16)
_ZERO_SPAN_ID: Final = bytes(8)
_MAX_CONNECTIONS: Final = 32_768
"""Twice as many as are tracked at once."""


class DerivedIds(NamedTuple):
    """Ids of one exchange: 16 bytes, 8 and 8."""

    trace_id: bytes
    client_span_id: bytes
    server_span_id: bytes


def derive(client_random: bytes, sender: Role, offset: int) -> DerivedIds:
    """The ids of the request that ``sender``, an end of the TLS connection, sent.

    It begins at ``offset`` of the sender's plaintext, counted from the handshake. ``client_random`` has
    RANDOM_BYTES.
    """
    by = _BY_TLS_CLIENT if sender is _TLS_CLIENT else _BY_TLS_SERVER
    digest = sha256(_LABEL + client_random + by + offset.to_bytes(8, "big")).digest()
    trace_id, client, server = digest[:16], digest[16:24], digest[24:]
    # "No id" in every format; it will not happen, but a scheme has to say.
    return DerivedIds(
        trace_id if trace_id != _ZERO_TRACE_ID else b"\1" * 16,
        client if client != _ZERO_SPAN_ID else b"\1" * 8,
        server if server != _ZERO_SPAN_ID else b"\1" * 8,
    )


class Derivation:
    """Derives the ids of exchanges, where all of it is known for certain.

    One random belongs to one connection. Where a second one shows up with it (a replay, a broken or a
    hostile client), that one's ids are not derived: they would be those of the first one's exchanges.
    """

    __slots__ = ("_client_owners", "_server_owners", "reused")

    def __init__(self) -> None:
        self._client_owners: dict[bytes, ConnectionId] = {}
        self._server_owners: dict[bytes, ConnectionId] = {}
        self.reused = 0
        """Exchanges on a connection whose random was another one's before."""

    def ids(self, exchange: Exchange) -> DerivedIds | None:
        """The ids of an exchange; None where they cannot be known to be the same at the other end."""
        connection = exchange.connection
        client_random = connection.client_random
        offset = exchange.request_offset
        if not connection.from_handshake or offset < 0 or len(client_random) != RANDOM_BYTES:
            return None
        sender = connection.role
        if sender is not _TLS_CLIENT and sender is not _TLS_SERVER:
            return None
        # Whoever sends requests is the CLIENT of the exchange, whichever end of the TLS connection it is.
        if exchange.kind is _CLIENT:
            owners = self._client_owners
        elif exchange.kind is _SERVER:
            owners = self._server_owners
            sender = _TLS_SERVER if sender is _TLS_CLIENT else _TLS_CLIENT
        else:
            return None
        owner = owners.get(client_random)
        if owner is None:
            owners[client_random] = connection.id
            if len(owners) > _MAX_CONNECTIONS:
                del owners[next(iter(owners))]
        elif owner != connection.id:
            self.reused += 1
            return None
        return derive(client_random, sender, offset)
