# SPDX-License-Identifier: Apache-2.0
"""Who is asking: the holder of the token or of a session made from it, or whom a trusted proxy names."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address

from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.requests import Request
from otel_qtap.viewer.sessions import Sessions
from otel_qtap.viewer.throttle import Throttle
from otel_qtap.viewer.visitors import Visitor

Network = IPv4Network | IPv6Network
_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that authenticates people and names them in a header field. Believed from ``networks`` only."""

    header: str
    networks: tuple[Network, ...]

    def sent(self, request: Request) -> bool:
        """Whether the request came through it."""
        address = ip_address(request.peer.partition("%")[0])
        if (mapped := getattr(address, "ipv4_mapped", None)) is not None:
            address = mapped
        return any(address in network for network in self.networks)


class Authenticator:
    """Knows one token, or a proxy, or both. Without ``token`` nobody can log in here."""

    def __init__(
        self, *, token: str, sessions: Sessions | None, proxy: Proxy | None, throttle: Throttle
    ) -> None:
        self._token = token.encode()
        self._sessions = sessions
        self._proxy = proxy
        self._throttle = throttle

    @property
    def takes_token(self) -> bool:
        """Whether there is anything to log in with."""
        return bool(self._token)

    def visitor(self, request: Request) -> Visitor | None:
        """Who is asking; None for a stranger. Raises ProblemError."""
        if self._proxy and self._proxy.sent(request):
            named = request.header(self._proxy.header).strip()
            if named:
                return Visitor(named[:_LONGEST_NAME])
        scheme, _, credentials = request.header("authorization").partition(" ")
        if scheme.lower() == "bearer" and self._token:
            self._check(request, credentials.strip())
            return Visitor("token")
        if self._sessions:
            for value in _cookies(request.headers.get("cookie", ()), self._sessions.name):
                if visitor := self._sessions.visitor(value):
                    return visitor
        return None

    def log_in(self, request: Request, token: str) -> tuple[Visitor, str]:
        """A new visitor, and the Set-Cookie value that the token is exchanged for. Raises ProblemError."""
        self._check(request, token.strip())
        assert self._sessions is not None
        return self._sessions.open(secure=self._is_secure(request))

    def log_out(self, request: Request) -> str:
        """The Set-Cookie value that ends the session; empty where there are none."""
        return self._sessions.close(secure=self._is_secure(request)) if self._sessions else ""

    def _check(self, request: Request, token: str) -> None:
        if seconds := self._throttle.wait_seconds(request.peer):
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many wrong tokens",
                "Attempts from this address are limited.",
                f"Try again in {seconds} seconds.",
                headers=(("Retry-After", str(seconds)),),
            )
        if not self._token or not hmac.compare_digest(token.encode("utf-8", "replace"), self._token):
            self._throttle.failed(request.peer)
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "That is not the token of this viewer",
                "The token may have changed: unless one was set, each start makes a new one.",
                "Take the one that otel-qtap serve printed when it started, or the one in "
                "OTEL_QTAP_SERVE_TOKEN or OTEL_QTAP_SERVE_TOKEN_FILE.",
                headers=(("WWW-Authenticate", 'Bearer realm="otel-qtap"'),),
            )

    def _is_secure(self, request: Request) -> bool:
        """Whether the browser's side of the connection is encrypted, here or by the trusted proxy."""
        if request.encrypted:
            return True
        through_proxy = self._proxy is not None and self._proxy.sent(request)
        return through_proxy and request.header("x-forwarded-proto").lower() == "https"


def _cookies(fields: Iterable[str], name: str) -> list[str]:
    """The values of a cookie; other servers of this host may have set one of the same name."""
    pairs = (pair.strip().partition("=") for field in fields for pair in field.split(";"))
    return [value for key, _, value in pairs if key == name]
