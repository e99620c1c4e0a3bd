# SPDX-License-Identifier: Apache-2.0
"""What a URL may say in telemetry: request targets (RFC 9112 section 3.2), hosts, and redaction.

The golden rule for URLs: of a query the keys stay and the values go, unless a key is allow-listed;
credentials go; the path stays as it is. Redaction keeps the URL's shape:
``https://REDACTED:REDACTED@host/search?email=REDACTED&page=REDACTED``.
"""

import re
from ipaddress import ip_address
from typing import NamedTuple

from otel_qtap.protocols.semconv import REDACTED

MAX_PATH_CHARACTERS = 4096
MAX_QUERY_KEYS = 64
MAX_QUERY_KEY_CHARACTERS = 64
"""Longer keys are no names but content, and are redacted too."""

_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z._~-]{1,255}))(?::([0-9]{0,5}))?")
_BARE_KEY = re.compile(rb"[0-9A-Za-z._~-]{1,32}")
_ABSOLUTE = re.compile(rb"([A-Za-z][0-9A-Za-z+.-]{0,15})://([^/?#]*)")


class Authority(NamedTuple):
    """A host without brackets, lower-case, and its port, where one was given."""

    host: str
    port: int | None


class Target(NamedTuple):
    """A request target, fit to be shown. ``path`` of authority-form is empty, of asterisk-form ``*``."""

    scheme: str
    """Lower-case scheme of absolute-form, otherwise empty."""
    authority: bytes
    """Host and port of absolute-form and authority-form, otherwise empty; without credentials."""
    has_credentials: bool
    path: str
    query: str | None
    """Redacted; None when there is none."""


def parse_target(target: bytes, method: bytes, query_allow: frozenset[str]) -> Target:
    """Take a request target apart: origin-form, absolute-form, authority-form, asterisk-form."""
    if method == b"CONNECT":
        credentials, _, authority = target.rpartition(b"@")
        return Target("", authority, bool(credentials), "", None)
    scheme, authority, has_credentials = "", b"", False
    if not target.startswith((b"/", b"*")):
        match = _ABSOLUTE.match(target)
        if match is not None:
            scheme = str(match[1], "ascii").lower()
            credentials, _, authority = match[2].rpartition(b"@")
            has_credentials = bool(credentials)
            target = target[match.end() :]
    raw_path, mark, raw_query = target.partition(b"?")
    path = str(raw_path, "utf-8", "replace")[:MAX_PATH_CHARACTERS]
    if scheme and not path:
        path = "/"
    query = redact_query(raw_query, query_allow) if mark else None
    return Target(scheme, authority, has_credentials, path, query)


def redact_query(query: bytes, allow: frozenset[str] = frozenset()) -> str:
    """Replace the values of all keys that are not in ``allow``; bound number and length of keys.

    A part without ``=`` is a key (``?acl``) as long as it looks like a name; otherwise it is content.
    """
    parts = query.split(b"&", MAX_QUERY_KEYS)
    shown: list[str] = []
    for part in parts[:MAX_QUERY_KEYS]:
        raw_key, equals, value = part.partition(b"=")
        if not equals:
            shown.append(str(part, "ascii") if not part or _BARE_KEY.fullmatch(part) else REDACTED)
            continue
        key = str(raw_key, "utf-8", "replace")
        if key in allow:
            shown.append(f"{key}={str(value, 'utf-8', 'replace')}")
        elif len(key) <= MAX_QUERY_KEY_CHARACTERS:
            shown.append(f"{key}={REDACTED}")
        else:
            shown.append(f"{REDACTED}={REDACTED}")
    if len(parts) > MAX_QUERY_KEYS:
        shown.append(REDACTED)
    return "&".join(shown)


def parse_authority(value: bytes) -> Authority | None:
    """``host``, ``host:port``, ``[v6]:port``; None for anything else (RFC 3986 section 3.2)."""
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        return None
    host = str(match[1] or match[2], "ascii").lower()
    return Authority(host, int(match[3]) if match[3] else None)


def parse_forwarded(value: bytes) -> dict[str, bytes]:
    """Parameters of the first element of a Forwarded field (RFC 7239 section 4), names in lower case."""
    first = value.partition(b",")[0]
    parameters: dict[str, bytes] = {}
    for pair in first.split(b";"):
        name, _, content = pair.partition(b"=")
        parameters[str(name.strip(), "ascii", "replace").lower()] = content.strip().strip(b'"')
    return parameters


def parse_node_address(value: bytes) -> str:
    """The IP address of a node as proxies write it, without its port; empty if it is none.

    Nothing but an address passes: the field comes from the other side, and may say anything.
    """
    text = str(value.strip(), "ascii", "replace")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
