# SPDX-License-Identifier: Apache-2.0
"""What was asked, taken apart. The paths and the parameters ``uri`` and ``part`` are a contract.

    GET /payload?uri=REFERENCE                      the page of an exchange
    GET /payload/body?uri=REFERENCE&part=PART       its request's or response's body, as a download
    GET /healthz                                    whether the viewer runs

REFERENCE is percent-encoded; PART is ``request`` or ``response``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

from otel_qtap.model.exchange import Part
from otel_qtap.viewer.problems import ProblemError

HOME, PAYLOAD, BODY, IMAGE = "/", "/payload", "/payload/body", "/payload/image"
HEALTH, STYLE, ICON, LOGIN, LOGOUT = "/healthz", "/style.css", "/favicon.ico", "/login", "/logout"
TOKEN = "token"  # noqa: S105 - a parameter's name

_VIEW = ("uri", "part", "view", "offset")
"""Parameters that say what is looked at: they outlive a login."""
_MOST_FIELDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. Header names are in lower case, each with all its values."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    peer: str
    """Address of whoever opened the connection: the client or a proxy."""
    encrypted: bool = False

    def header(self, name: str) -> str:
        """The value of a field that may be there once; empty where it is absent. Raises ProblemError."""
        values = self.headers.get(name, ())
        if len(values) > 1:
            raise malformed(f"The header field {name} is there {len(values)} times.")
        return values[0] if values else ""

    @property
    def part(self) -> Part | None:
        """Which half the parameters ``view`` and ``offset`` concern. Raises ProblemError."""
        value = self.query.get("part", "")
        try:
            return Part(value) if value else None
        except ValueError:
            raise malformed("The parameter part is neither request nor response.") from None

    @property
    def offset(self) -> int:
        """Where in a body to begin, in the unit of its view. Raises ProblemError."""
        value = self.query.get("offset", "0")
        if not (value.isascii() and value.isdecimal() and len(value) <= 12):
            raise malformed("The parameter offset is not a number.")
        return int(value)


def fields(encoded: str) -> dict[str, str]:
    """Of a query or a form. Raises ProblemError for what is malformed or there twice."""
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:  # its text quotes the query
        raise malformed("The parameters are not percent-encoded UTF-8, or there are too many.") from None
    if len(dict(pairs)) < len(pairs):
        raise malformed("A parameter is there twice.")
    return dict(pairs)


def looked_at(parameters: Mapping[str, str]) -> dict[str, str]:
    """Those of the parameters that say what is looked at."""
    return {name: parameters[name] for name in _VIEW if parameters.get(name)}


def location(parameters: Mapping[str, str]) -> str:
    """Where a visitor with these parameters wants to go: always a path of this viewer."""
    kept = looked_at(parameters)
    return f"{PAYLOAD}?{urlencode(kept)}" if "uri" in kept else HOME


def malformed(why: str) -> ProblemError:
    """A request that cannot be understood."""
    return ProblemError(
        HTTPStatus.BAD_REQUEST,
        "This request is malformed",
        why,
        "Use a link of the form /payload?uri=REFERENCE with a percent-encoded reference.",
    )
