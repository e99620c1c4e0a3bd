# SPDX-License-Identifier: Apache-2.0
"""The cookie that a token is exchanged for: signed, short-lived, of no use for anything else.

Nothing is kept here: the signature is made with a key that comes from the token. So sessions outlive a
restart, and a new token ends them all.
"""

import hmac
import secrets
from collections.abc import Callable

from otel_qtap.viewer.visitors import Visitor

SESSION_SECONDS = 12 * 3600


class Sessions:
    """Makes and checks the values of the cookie ``name``. ``now`` is Unix time in seconds."""

    def __init__(self, token: str, name: str, now: Callable[[], float]) -> None:
        self._key = hmac.digest(token.encode(), b"otel-qtap viewer session", "sha256")
        self.name = name
        self._now = now

    def open(self, *, secure: bool) -> tuple[Visitor, str]:
        """A new visitor, and the Set-Cookie value that makes the browser theirs.

        SameSite is Lax: the click on a reference comes from the trace view's site, and a Strict cookie
        would not travel with it. Lax travels with such navigations only, and those change nothing.
        """
        name = secrets.token_hex(8)
        content = f"{int(self._now()) + SESSION_SECONDS}.{name}"
        cookie = self._cookie(f"{content}.{self._sign(content)}", SESSION_SECONDS, secure=secure)
        return _visitor(name), cookie

    def close(self, *, secure: bool) -> str:
        """The Set-Cookie value that ends the session in this browser."""
        return self._cookie("", 0, secure=secure)

    def visitor(self, value: str) -> Visitor | None:
        """Whoever holds this value; None where it is forged or has expired."""
        content, _, signature = value.rpartition(".")
        expected = self._sign(content)
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            return None
        expires, _, name = content.partition(".")
        return _visitor(name) if int(expires) > self._now() else None

    def _sign(self, content: str) -> str:
        return hmac.digest(self._key, content.encode("utf-8", "replace"), "sha256").hex()

    def _cookie(self, value: str, seconds: int, *, secure: bool) -> str:
        attributes = f"Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax"
        return f"{self.name}={value}; {attributes}" + ("; Secure" if secure else "")


def _visitor(name: str) -> Visitor:
    return Visitor(f"session-{name[:8]}", has_session=True)
