# SPDX-License-Identifier: Apache-2.0
"""The head of a message: start line and fields (RFC 9112 sections 2 to 5).

llhttp (by httptools) reads the fields, strictly. What it refuses is read once more after rewriting
what RFC 9112 lets a recipient rewrite: LF alone as line terminator (2.2), obs-fold (5.2), a repeated
but equal Content-Length (RFC 9110 8.6), a start line that only llhttp's fixed list of methods or its
narrow URL grammar refuses. What is still refused is malformed. The rewriting is for the reading
only: the stored head is the one from the wire.

The heads of one conversation mostly differ in their start line only, so fields are remembered by the
bytes that they were read from.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import httptools

from otel_qtap.protocols.http1.message import Fields, Message

MAX_FIELDS = 1000
"""More than the servers in use allow (Apache 100, Node 2000 by bytes); bounds the work per head."""

METHOD_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
"""RFC 9110 5.6.2 token; the longest registered method has 17 characters."""

REMEMBERED = 512
MAX_REMEMBERED_BYTES = 2048
"""Of one start line or one field section."""

_FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSIONS = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_STATUS_LINE = re.compile(rb"HTTP/1\.([01])[ \t]+([1-9][0-9]{2})(?:[ \t][^\r\n]*)?\r?\n")
_OBS_FOLD = re.compile(rb"[ \t]*\r\n[ \t]+")
_NEUTRAL_REQUEST = b"GET / HTTP/1.1\r\n"
_NEUTRAL_RESPONSE = b"HTTP/1.1 200 OK\r\n"


Known = TypeVar("Known")


class _FieldSink:
    """Receives the fields of one head from llhttp."""

    __slots__ = ("fields", "on_header")

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        append = self.fields.append

        def on_header(name: bytes, value: bytes) -> None:
            append((name.lower(), value))

        self.on_header: Callable[[bytes, bytes], None] = on_header


class HeadParser:
    """Reads heads; one instance serves a whole process. Messages share the ``fields`` that it remembers."""

    __slots__ = (
        "_methods",
        "_request_fields",
        "_request_parser",
        "_response_fields",
        "_response_parser",
        "_sink",
        "_status_lines",
    )

    def __init__(self) -> None:
        # Well-formed field sections, apart for what llhttp reads with either parser.
        self._request_fields: dict[bytes, Fields] = {}
        self._response_fields: dict[bytes, Fields] = {}
        self._status_lines: dict[bytes, tuple[str, int]] = {}
        self._methods: dict[bytes, bytes] = {}
        self._sink = _FieldSink()
        self._request_parser = httptools.HttpRequestParser(self._sink)
        self._response_parser = httptools.HttpResponseParser(self._sink)

    def read_request(self, message: Message) -> bool:
        """Fill in start line and fields from ``message.head``; return whether it is well formed.

        Of a malformed head, what could be read is filled in.
        """
        head = message.head
        line_end = head.find(b"\n")
        parts = head[:line_end].split()
        well_formed = len(parts) == 3
        if not well_formed and len(parts) < 3:
            return False
        version = _VERSIONS.get(parts[-1])
        method = parts[0]
        if version is None or not (method in self._methods or self._is_method(method)):
            return False
        message.version = version
        message.method = method
        # White space in a target is refused with 400 by strict servers, and shown as it came.
        message.target = parts[1] if well_formed else b" ".join(parts[1:-1])
        section = head[line_end + 1 :]
        fields = self._request_fields.get(section)
        if fields is not None:
            message.fields = fields
            return well_formed
        known = self._request_fields
        return (
            self._read_fields(message, section, self._request_parser, _NEUTRAL_REQUEST, known) and well_formed
        )

    def read_response(self, message: Message) -> bool:
        """As ``read_request``, for a response."""
        head = message.head
        line_end = head.find(b"\n") + 1
        line = head[:line_end]
        known_line = self._status_lines.get(line)
        if known_line is None:
            match = _STATUS_LINE.fullmatch(line)
            if match is None:
                return False
            known_line = "1.1" if match[1] == b"1" else "1.0", int(match[2])
            _remember(self._status_lines, line, known_line)
        message.version, message.status = known_line
        section = head[line_end:]
        known = self._response_fields
        fields = known.get(section)
        if fields is not None:
            message.fields = fields
            return True
        return self._read_fields(message, section, self._response_parser, _NEUTRAL_RESPONSE, known)

    def is_trailer(self, section: bytes) -> bool:
        """Whether ``section``, lines with their ends, is a well-formed trailer section."""
        return self._feed(
            self._response_parser, _NEUTRAL_RESPONSE + _rewritten(section + b"\r\n"), lenient=True
        )

    def _is_method(self, method: bytes) -> bool:
        if METHOD_TOKEN.fullmatch(method) is None:
            return False
        _remember(self._methods, method, method)
        return True

    def _read_fields(
        self, message: Message, section: bytes, parser: "Parser", neutral: bytes, known: dict[bytes, Fields]
    ) -> bool:
        if self._feed(parser, message.head):
            # What is well formed below one start line is so below any: llhttp refuses field sections
            # for what they hold, and the start line has been judged above.
            message.fields = _joined(self._sink.fields)
            _remember(known, section, message.fields)
            return True
        rewritten = _rewritten(section)
        well_formed = self._feed(parser, neutral + rewritten, lenient=True)
        if not well_formed and b"content-length" in rewritten.lower():
            merged = _with_content_length_merged(rewritten)
            well_formed = merged is not None and self._feed(parser, neutral + merged, lenient=True)
        message.fields = _joined(self._sink.fields)
        return well_formed

    def _feed(self, parser: "Parser", head: bytes, *, lenient: bool = False) -> bool:
        sink = self._sink
        sink.fields.clear()
        parser.__init__(sink)  # type: ignore[misc]  # resets llhttp, at a tenth of the cost of a new one
        if lenient:
            # Framing conflicts are judged by framing.py, and control characters in values may be
            # retained (RFC 9110 5.5).
            parser.set_dangerous_leniencies(
                lenient_headers=True, lenient_chunked_length=True, lenient_transfer_encoding=True
            )
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            return False
        return not lenient or all(map(_is_field, sink.fields))


def _remember(known: "dict[bytes, Known]", key: bytes, value: "Known") -> None:
    if len(key) <= MAX_REMEMBERED_BYTES:
        if len(known) >= REMEMBERED:
            known.clear()
        known[key] = value


Parser = httptools.HttpRequestParser | httptools.HttpResponseParser


def _is_field(field: tuple[bytes, bytes]) -> bool:
    """What must be refused even when read leniently: RFC 9112 5.1 (names), RFC 9110 5.5 (values)."""
    name, value = field
    return _FIELD_NAME.fullmatch(name) is not None and b"\r" not in value and b"\0" not in value


def _joined(fields: list[tuple[bytes, bytes]]) -> Fields:
    joined = dict(fields)
    if len(joined) == len(fields):
        return joined
    joined = {}
    for name, value in fields:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def _rewritten(section: bytes) -> bytes:
    """Field lines with CRLF line ends and without obs-fold."""
    if section.count(b"\n") != section.count(b"\r\n"):
        section = section.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if b"\n " in section or b"\n\t" in section:
        section = _OBS_FOLD.sub(b" ", section)
    return section


def _with_content_length_merged(section: bytes) -> bytes | None:
    """Field lines with one Content-Length; None when its values are not all the same number."""
    values: list[bytes] = []
    others: list[bytes] = []
    for line in section.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            values += [item.strip(b" \t") for item in value.split(b",")]
        else:
            others.append(line)
    if len(set(values)) != 1 or not values[0].isdigit():
        return None
    return b"content-length: " + values[0] + b"\r\n" + b"\r\n".join(others)
