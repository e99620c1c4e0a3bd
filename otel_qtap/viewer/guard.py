# SPDX-License-Identifier: Apache-2.0
"""Requests that other sites made the browser send: turned away before anything else is looked at.

DNS rebinding: a page whose name was made to point at this machine reaches the viewer as its own
origin, but its requests carry that name in ``Host``. An address in ``Host`` cannot be rebound.

Other sites' pages may navigate here (that is the click on a reference) and nothing else: no frame, no
image, no script's request. https://www.w3.org/TR/fetch-metadata/
"""

from collections.abc import Iterable
from http import HTTPStatus
from ipaddress import ip_address

from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.requests import Request

READING = ("GET", "HEAD")


class Guard:
    """Lets requests pass whose ``Host`` is an address, ``localhost`` or one of ``hosts``."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = frozenset(("localhost", *(host.lower() for host in hosts)))

    def check(self, request: Request) -> None:
        """Raises ProblemError for a request that is not to be answered."""
        host = _name(request.header("host"))
        if not (host in self._hosts or _is_address(host)):
            raise ProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This viewer does not answer to that name",
                "The Host header names none of its hosts. A page that points its own name at this machine "
                "could read payloads otherwise (DNS rebinding).",
                "Reach it by address, or list the name in OTEL_QTAP_SERVE_HOSTS.",
            )
        site = request.header("sec-fetch-site")
        if site in ("", "none", "same-origin"):
            return
        navigates = request.header("sec-fetch-mode") == "navigate"
        if not (navigates and request.header("sec-fetch-dest") == "document" and request.method in READING):
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "Another site's page asked for this",
                "Pages of other sites may link here; they may not embed or fetch what is here.",
                "Follow the link in the browser, or fetch it from a script with a bearer token.",
            )


def _name(host: str) -> str:
    """The name or address of a Host field, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
