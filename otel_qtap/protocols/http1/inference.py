# SPDX-License-Identifier: Apache-2.0
"""Is this HTTP/1, and where does a message begin?

``infer`` looks at the first bytes of a direction (RFC 9112 3 and 4: request line, status line).
``find_boundary`` is the way back after loss or broken input: the next place where a whole start line
stands. It need not stand behind a line end, for a body seldom ends with one.
"""

import re

from otel_qtap.protocols.base import Verdict
from otel_qtap.protocols.http1.heads import METHOD_TOKEN
from otel_qtap.protocols.http1.options import KNOWN_METHODS

WEBDAV_METHODS = (
    *("ACL", "CHECKOUT", "COPY", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MOVE"),
    *("PROPFIND", "PROPPATCH", "PURGE", "REPORT", "SEARCH", "UNLOCK"),
)
"""Other methods in common use: a search knows them, so that PROPPATCH is not taken for PATCH."""

MAX_START_LINE = 8192
"""RFC 9112 section 3: a recipient ought to support at least 8000 octets. Longer ones are not searched
for; in their place, at a message's start, they are read up to the limit of a head."""

_RESPONSE_START = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}[ \t\r\n]")
_RESPONSE_START_LENGTH = len(b"HTTP/1.1 200 ")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64} [^\r\n]* HTTP/1\.[01]\r?\n")
_REQUEST_LINE_END = re.compile(rb" HTTP/1\.[01]\r?\n")
_RESPONSE_PREFIX = b"HTTP/1."
_TARGET_STARTS = (b"/", b"*", b"http://", b"https://")
_METHODS = frozenset(method.encode() for method in (*KNOWN_METHODS, *WEBDAV_METHODS))
_METHOD_AT_END = re.compile(rb"(?:%s)\Z" % b"|".join(_METHODS))


def infer(head: bytes) -> Verdict:
    """Judge the bytes that a direction begins with. Empty lines before a start line do not count (2.2)."""
    head = head.lstrip(b"\r\n")
    if head.startswith(_RESPONSE_PREFIX):
        if len(head) < _RESPONSE_START_LENGTH:
            return Verdict.MORE
        return Verdict.RESPONSE if _RESPONSE_START.match(head) else Verdict.NO
    if _RESPONSE_PREFIX.startswith(head):
        return Verdict.MORE
    if b"\n" in head:
        return Verdict.REQUEST if _REQUEST_LINE.match(head) else Verdict.NO
    method, space, target = head.partition(b" ")
    if METHOD_TOKEN.fullmatch(method) is None:
        return Verdict.NO
    if not space or len(head) < MAX_START_LINE:
        return Verdict.MORE
    return Verdict.REQUEST if method in _METHODS and target.startswith(_TARGET_STARTS) else Verdict.NO


def search(content: bytes) -> Verdict:
    """Whether a message begins somewhere in ``content``, and of which kind the first one is."""
    request, _ = find_boundary(content, 0, requests=True)
    response, _ = find_boundary(content, 0, requests=False)
    if request < 0 and response < 0:
        return Verdict.MORE
    return Verdict.RESPONSE if request < 0 or 0 <= response < request else Verdict.REQUEST


def find_boundary(data: bytes, at: int, *, requests: bool) -> tuple[int, int]:
    """Find the first start line in ``data`` from ``at`` on.

    Return its offset, or -1; and, for -1, from where on bytes must be kept because a start line may
    have begun there. With an offset, both are the same. Linear in the length of ``data``.
    """
    if not requests:
        match = _RESPONSE_START.search(data, at)
        if match is not None:
            return match.start(), match.start()
        return -1, max(at, len(data) - _RESPONSE_START_LENGTH + 1)
    for match in _REQUEST_LINE_END.finditer(data, at):
        start = _request_start(data, at, match.start())
        if start >= 0:
            return start, start
    return -1, max(at, data.rfind(b"\n", at) + 1, len(data) - MAX_START_LINE)


def _request_start(data: bytes, at: int, version_at: int) -> int:
    """Where the request line begins whose version stands at ``version_at``; -1 if it is none."""
    earliest = max(at, version_at - MAX_START_LINE)
    line_start = max(data.rfind(b"\n", earliest, version_at) + 1, earliest)
    before, _, target = data[line_start:version_at].rpartition(b" ")
    if not before or not target:
        return -1
    known = _METHOD_AT_END.search(before)
    if known is not None:
        return line_start + known.start()
    return line_start if before.isalpha() and before.isupper() and METHOD_TOKEN.fullmatch(before) else -1
