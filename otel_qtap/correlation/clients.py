# SPDX-License-Identifier: Apache-2.0
"""Whether the client of an observed server is observed, too: only then is its span one to stand below."""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from otel_qtap.model.identity import ConnectionContext, Role

_MAX_CLIENTS: Final = 16_384


class Join(StrEnum):
    """Whether ids are derived, so that both ends of a TLS connection are in one trace without a header."""

    AUTO = "auto"
    """Yes; a server's span stands below the client's unless that is known, or likely, not to be observed."""
    HEADERLESS = "headerless"
    """As ``auto``, but a context on the wire is the parent wherever there is one."""
    ALWAYS = "always"
    """As ``auto``, but clients at public addresses count as observed."""
    OFF = "off"
    """No: ids are random."""


class ObservedClients:
    """Knows client ends of connections that this agent observes itself, by their randoms."""

    __slots__ = ("_clients", "_join")

    def __init__(self, join: Join) -> None:
        self._join = join
        self._clients: dict[bytes, ConnectionContext] = {}

    def observe(self, connection: ConnectionContext) -> None:
        """A connection whose exchanges will become spans."""
        client_random = connection.client_random
        if connection.role is Role.CLIENT and client_random:
            clients = self._clients
            clients[client_random] = connection
            if len(clients) > _MAX_CLIENTS:
                del clients[next(iter(clients))]

    def expects_span(
        self, server: ConnectionContext, evidence: Callable[[ConnectionContext], str], *, has_context: bool
    ) -> bool:
        """Whether the client at the other end of ``server`` gets a CLIENT span with the derived id.

        ``evidence`` tells what shows that a process makes its spans itself: with a context on the wire
        (``has_context``) the span of such a client is that. Of clients on other hosts nothing is known:
        whether an agent is there, the address must tell.
        """
        if has_context and self._join is Join.HEADERLESS:
            return False
        client = self._clients.pop(server.client_random, None)
        if client is not None:
            self._clients[server.client_random] = client  # the newest again: it is in use
            return client.from_handshake and not (has_context and evidence(client))
        if server.remote is None:
            return False
        address = server.remote.address
        if server.local is not None and address == server.local.address:
            return False
        return _may_be_observed(address, public=self._join is Join.ALWAYS)


@lru_cache(4096)
def _may_be_observed(address: str, *, public: bool) -> bool:
    """Whether an agent of ours may be where ``address`` is: not on this host, for it would be this one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return not parsed.is_loopback and (public or not parsed.is_global)
